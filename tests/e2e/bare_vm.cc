// SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/bare_vm.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "protocol/base/result.h"
#include "tests/e2e/host.h"

namespace berth::e2e {

BareVm::BareVm(const std::string& image, Vsock vsock, const std::vector<std::string>& more) {
  std::string pattern = "/tmp/be2e-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) ADD_FAILURE() << "mkdtemp: " << ErrnoName(errno);
  dir_ = pattern;
  std::ifstream file(image + "/image.json");
  const auto json = nlohmann::json::parse(file, nullptr, false);
  if (!json.is_object()) {
    ADD_FAILURE() << image << " is no image";
    return;
  }
  // -icount makes the TSC's frequency known: without it one boot of microvm in twenty hangs.
  std::vector<std::string> argv = {"qemu-system-x86_64",
                                   "-M",
                                   "microvm,rtc=on,x-option-roms=off,memory-backend=mem0",
                                   "-global",
                                   "virtio-mmio.force-legacy=false",
                                   "-accel",
                                   "tcg",
                                   "-icount",
                                   "shift=0,sleep=off",
                                   "-m",
                                   "128",
                                   "-object",
                                   "memory-backend-memfd,id=mem0,size=128M,share=on",
                                   "-nodefaults",
                                   "-no-user-config",
                                   "-nographic",
                                   "-no-reboot",
                                   "-serial",
                                   "stdio",
                                   "-qmp",
                                   "unix:" + dir_ + "/qmp.sock,server=on,wait=off",
                                   "-kernel",
                                   image + "/" + json.value("kernel", "vmlinuz"),
                                   "-initrd",
                                   image + "/" + json.value("initrd", "initrd.img"),
                                   "-append",
                                   json.value("cmdline", "") + " tsc_early_khz=1000000"};
  const auto disks = json.value("disks", nlohmann::json::array());
  for (size_t i = 0; i < disks.size(); ++i) {
    const std::string id = "d" + std::to_string(i);
    argv.insert(argv.end(), {"-drive",
                             "if=none,format=raw,readonly=on,id=" + id + ",file=" + image + "/" +
                                 disks[i].value("path", ""),
                             "-device", "virtio-blk-device,drive=" + id});
  }
  argv.insert(argv.end(), more.begin(), more.end());
  if (vsock == Vsock::kNobodyListens) {
    const std::string vhost = dir_ + "/vhost.sock";
    argv.insert(argv.end(), {"-chardev", "socket,id=vs0,server=on,path=" + vhost, "-device",
                             "vhost-user-vsock-device,chardev=vs0"});
    qemu_ = std::make_unique<Process>(std::move(argv));
    // It waits for the device before it starts the guest, and says so once it listens.
    EXPECT_TRUE(qemu_->WaitForOutput("waiting for connection", Deadline::In(30s)))
        << qemu_->so_far();
    device_ = std::make_unique<Process>(
        std::vector<std::string>{BinDir() + "/berth-vsock", "--vhost-socket", vhost, "--socket",
                                 vsock_path(), "--cid", "3"});
  } else {
    qemu_ = std::make_unique<Process>(std::move(argv));
  }
}

void BareVm::PressPowerButton() {
  const UniqueFd qmp =
      Converse(dir_ + "/qmp.sock",
               R"({"execute":"qmp_capabilities"}{"execute":"system_powerdown"})", "POWERDOWN");
}

BareVm::~BareVm() {
  qemu_.reset();
  device_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(dir_, ignored);
}

}  // namespace berth::e2e
