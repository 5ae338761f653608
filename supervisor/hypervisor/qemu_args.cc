// SPDX-License-Identifier: Apache-2.0
//
// QEMU's command line. What each argument is for stands in docs/hypervisors.md.
#include <sys/stat.h>

#include <string_view>

#include "supervisor/hypervisor/qemu.h"

namespace berth {
namespace {

using nlohmann::json;

// Whether the command line already says `name`, as a word "name" or "name=...". What follows "--"
// belongs to init.
bool HasParameter(std::string_view cmdline, std::string_view name) {
  size_t at = 0;
  while (at < cmdline.size()) {
    const size_t end = std::min(cmdline.find(' ', at), cmdline.size());
    const std::string_view word = cmdline.substr(at, end - at);
    if (word == "--") return false;
    if (word.starts_with(name) && (word.size() == name.size() || word[name.size()] == '=')) {
      return true;
    }
    at = end + 1;
  }
  return false;
}

// QEMU's "file" driver takes regular files only.
const char* DriverOf(const std::string& path) {
  struct stat st{};
  return stat(path.c_str(), &st) == 0 && S_ISBLK(st.st_mode) ? "host_device" : "file";
}

// JSON, not QEMU's own option syntax: in JSON a path may hold commas.
void AddDisk(const DiskSpec& disk, size_t index, bool mmio, std::vector<std::string>& args) {
  const std::string node = "disk" + std::to_string(index);
  const json blockdev = {
      {"node-name", node},
      {"driver", Name(disk.format)},
      {"read-only", disk.read_only},
      {"file",
       {{"driver", DriverOf(disk.path)}, {"filename", disk.path}, {"read-only", disk.read_only}}}};
  args.insert(args.end(),
              {"-blockdev", blockdev.dump(-1, ' ', false, json::error_handler_t::replace)});
  std::string device = mmio ? "virtio-blk-device" : "virtio-blk-pci";
  device += ",drive=" + node;
  if (!disk.serial.empty()) device += ",serial=" + disk.serial;
  args.insert(args.end(), {"-device", device});
}

// x86-64-v2 and no more: what "max" has beyond it costs an emulated guest far more than it gives
// (docs/decisions/0005-emulated-cpu.md).
constexpr std::string_view kTcgCpu = "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+rdrand";

}  // namespace

Result<std::string> QemuCmdline(const VmSpec& spec, const std::string& cmdline, Accel accel,
                                uint64_t tsc_khz) {
  std::string words;
  if (!HasParameter(cmdline, "console")) words += "console=ttyS0 ";
  // A panic reboots at once, which -no-reboot turns into the end of the VM: else it would hang.
  if (!HasParameter(cmdline, "panic")) words += "panic=-1 ";
  if (spec.machine == Machine::kMicrovm && accel == Accel::kTcg && tsc_khz != 0 &&
      !HasParameter(cmdline, "tsc_early_khz")) {
    words += "tsc_early_khz=" + std::to_string(tsc_khz) + " ";
  }
  // The kernel tries whether timer interrupts arrive, for ten ticks, and panics where they do not:
  // on a busy host an emulated timer is late. Under KVM a guest leaves that out by itself.
  if (accel == Accel::kTcg && !HasParameter(cmdline, "no_timer_check")) words += "no_timer_check ";
  words += cmdline;
  if (words.ends_with(' ')) words.pop_back();
  if (words.size() > kMaxCmdlineBytes) {
    return Fail("cmdline", E2BIG,
                "the kernel command line has " + std::to_string(words.size()) +
                    " bytes, with what the image, the spec and the machine add",
                "shorten it to " + std::to_string(kMaxCmdlineBytes));
  }
  return words;
}

std::vector<std::string> QemuArgs(const LaunchInputs& inputs, Accel accel,
                                  const std::string& cmdline) {
  const VmSpec& spec = inputs.spec;
  const bool mmio = spec.machine == Machine::kMicrovm;
  const std::string mib = std::to_string(spec.memory_mib) + "M";
  const std::string vsock(kVsockChardev);
  const std::string transport = mmio ? "-device" : "-pci";
  std::vector<std::string> args = {inputs.hypervisor_program,
                                   "-name",
                                   "guest=" + spec.name + ",debug-threads=on",
                                   "-nodefaults",
                                   "-no-user-config",
                                   "-display",
                                   "none",
                                   "-no-reboot",
                                   "-machine",
                                   mmio ? "microvm,rtc=on,x-option-roms=off,memory-backend=mem0"
                                        : "q35,vmport=off,memory-backend=mem0",
                                   "-accel",
                                   std::string(Name(accel)),
                                   "-cpu",
                                   std::string(accel == Accel::kKvm ? "host" : kTcgCpu),
                                   "-smp",
                                   std::to_string(spec.vcpus),
                                   "-object",
                                   "memory-backend-memfd,id=mem0,share=on,size=" + mib,
                                   "-m",
                                   "size=" + mib};
  // Without it virtio-mmio offers no VERSION_1, which the vsock device demands.
  if (mmio) args.insert(args.end(), {"-global", "virtio-mmio.force-legacy=false"});
  args.insert(args.end(),
              {"-kernel",  inputs.boot.kernel,
               "-append",  cmdline,
               "-chardev", "stdio,id=console,signal=off",
               "-serial",  "chardev:console",
               "-chardev", "socket,id=qmp,server=on,wait=off,fd=" + std::string(kQmpFd),
               "-mon",     "chardev=qmp,mode=control",
               "-chardev", "socket,id=shim,fd=" + std::string(kShimQmpFd),
               "-mon",     "chardev=shim,mode=control",
               "-object",  "rng-builtin,id=rng0",
               "-device",  "virtio-rng" + transport + ",rng=rng0",
               "-chardev", "socket,id=" + vsock + ",server=on,fd=" + std::string(kVhostFd),
               "-device",  "vhost-user-vsock" + transport + ",chardev=" + vsock});
  if (!inputs.boot.initrd.empty()) args.insert(args.end(), {"-initrd", inputs.boot.initrd});
  for (size_t i = 0; i < inputs.boot.disks.size(); ++i) {
    AddDisk(inputs.boot.disks[i], i, mmio, args);
  }
  return args;
}

}  // namespace berth
