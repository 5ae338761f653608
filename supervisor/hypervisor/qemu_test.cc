// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/qemu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace berth {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

class QemuTest : public testing::Test {
 protected:
  QemuTest() {
    spec_.name = "demo";
    spec_.accel = Accel::kTcg;
    boot_.kernel = "/img/vmlinuz";
    host_.tsc_khz = 2'445'426;
  }
  Result<Launch> Build() {
    return QemuBackend().BuildLaunch(
        {spec_, boot_, paths_, host_, "/usr/bin/qemu-system-x86_64", "/opt/berth-vsock"});
  }
  std::vector<std::string> Args() {
    const auto launch = Build();
    EXPECT_TRUE(launch.has_value()) << launch.error().Message();
    return launch ? launch->spec.hypervisor : std::vector<std::string>();
  }
  // The values given to an option, in order.
  std::vector<std::string> Values(std::string_view option) {
    std::vector<std::string> values;
    const auto args = Args();
    for (size_t i = 0; i + 1 < args.size(); ++i) {
      if (args[i] == option) values.push_back(args[i + 1]);
    }
    return values;
  }

  VmSpec spec_;
  BootFiles boot_;
  VmPaths paths_{"/run/berth/vms/demo"};
  HostFacts host_;
};

TEST_F(QemuTest, MicrovmCommandLine) {
  spec_.vcpus = 2;
  spec_.memory_mib = 512;
  boot_.initrd = "/img/initrd";
  const std::vector<std::string> expected = {
      "/usr/bin/qemu-system-x86_64",
      "-name",
      "guest=demo,debug-threads=on",
      "-nodefaults",
      "-no-user-config",
      "-display",
      "none",
      "-no-reboot",
      "-machine",
      "microvm,rtc=on,x-option-roms=off,memory-backend=mem0",
      "-accel",
      "tcg",
      "-cpu",
      "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+rdrand",
      "-smp",
      "2",
      "-object",
      "memory-backend-memfd,id=mem0,share=on,size=512M",
      "-m",
      "size=512M",
      "-global",
      "virtio-mmio.force-legacy=false",
      "-kernel",
      "/img/vmlinuz",
      "-append",
      "console=ttyS0 panic=-1 tsc_early_khz=2445426 no_timer_check",
      "-chardev",
      "stdio,id=console,signal=off",
      "-serial",
      "chardev:console",
      "-chardev",
      "socket,id=qmp,server=on,wait=off,fd={qmp-fd}",
      "-mon",
      "chardev=qmp,mode=control",
      "-chardev",
      "socket,id=shim,fd={shim-qmp-fd}",
      "-mon",
      "chardev=shim,mode=control",
      "-object",
      "rng-builtin,id=rng0",
      "-device",
      "virtio-rng-device,rng=rng0",
      "-chardev",
      "socket,id=vsock,server=on,fd={vhost-fd}",
      "-device",
      "vhost-user-vsock-device,chardev=vsock",
      "-initrd",
      "/img/initrd"};
  EXPECT_EQ(Args(), expected);
}

TEST_F(QemuTest, Q35UsesPciAndNeedsNoHintAboutTheTsc) {
  spec_.machine = Machine::kQ35;
  boot_.disks = {{"/d"}};
  EXPECT_THAT(Values("-machine"), Contains("q35,vmport=off,memory-backend=mem0"));
  EXPECT_THAT(Values("-device"), Contains("vhost-user-vsock-pci,chardev=vsock"));
  EXPECT_THAT(Values("-device"), Contains("virtio-blk-pci,drive=disk0"));
  EXPECT_THAT(Values("-global"), testing::IsEmpty());
  EXPECT_EQ(Values("-append").at(0), "console=ttyS0 panic=-1 no_timer_check");
}

TEST_F(QemuTest, KvmUsesTheHostsCpu) {
  spec_.accel = Accel::kKvm;
  host_.kvm.state = KvmState::kUsable;
  EXPECT_THAT(Values("-accel"), Contains("kvm"));
  EXPECT_THAT(Values("-cpu"), Contains("host"));
  EXPECT_THAT(Values("-append").at(0), Not(HasSubstr("tsc_early_khz")));
  EXPECT_THAT(Values("-append").at(0), Not(HasSubstr("no_timer_check")));
}

TEST_F(QemuTest, GuestMemoryAndItsSharedBackendAreOfOneSize) {
  for (uint32_t mib : {64U, 333U, 4096U}) {
    spec_.memory_mib = mib;
    const std::string size = "size=" + std::to_string(mib) + "M";
    EXPECT_THAT(Values("-m"), Contains(size));
    EXPECT_THAT(Values("-object"), Contains("memory-backend-memfd,id=mem0,share=on," + size));
  }
}

TEST_F(QemuTest, DiskPathsMayHoldAnything) {
  boot_.disks = {{"/a,b=\"c\".qcow2", DiskFormat::kQcow2, true, "sn-1"}, {"/e"}};
  const auto disks = Values("-blockdev");
  ASSERT_EQ(disks.size(), 2U);
  const auto first = nlohmann::json::parse(disks[0]);
  EXPECT_EQ(first["file"]["filename"], "/a,b=\"c\".qcow2");
  EXPECT_EQ(first["driver"], "qcow2");
  EXPECT_EQ(first["read-only"], true);
  EXPECT_EQ(nlohmann::json::parse(disks[1])["driver"], "raw");
  EXPECT_EQ(nlohmann::json::parse(disks[1])["read-only"], false);
  EXPECT_THAT(Values("-device"), Contains("virtio-blk-device,drive=disk0,serial=sn-1"));
  EXPECT_THAT(Values("-device"), Contains("virtio-blk-device,drive=disk1"));
}

TEST_F(QemuTest, OwnersWordsStandInPlaceOfTheMachines) {
  boot_.cmdline = "console=hvc0 panic=30 tsc_early_khz=1 no_timer_check quiet";
  EXPECT_EQ(Values("-append").at(0), boot_.cmdline);
  boot_.cmdline = "-- console=x panic=1";  // init's words, not the kernel's
  EXPECT_EQ(Values("-append").at(0),
            "console=ttyS0 panic=-1 tsc_early_khz=2445426 no_timer_check -- console=x panic=1");
  boot_.cmdline = "panic_on_oops=1";
  EXPECT_THAT(Values("-append").at(0), HasSubstr("panic=-1 "));
}

TEST_F(QemuTest, CommandLineThatGrowsTooLongIsRefused) {
  boot_.cmdline = std::string(kMaxCmdlineBytes - 10, 'x');
  ASSERT_FALSE(Build().has_value());
  EXPECT_EQ(Build().error().step, Step("cmdline"));
}

TEST_F(QemuTest, VsockDeviceIsStartedForTheSameGuest) {
  spec_.cid = 77;
  const auto launch = Build();
  ASSERT_TRUE(launch.has_value());
  EXPECT_THAT(
      launch->spec.vsock,
      testing::ElementsAre("/opt/berth-vsock", "--vhost-socket", "/run/berth/vms/demo/vhost.sock",
                           "--socket", "/run/berth/vms/demo/vsock.sock", "--cid", "77",
                           "--notify-fd", "{notify-fd}", "--pairs-fd", "{pairs-fd}"));
  EXPECT_TRUE(launch->spec.HasQmp());
}

TEST_F(QemuTest, MicrovmHasRoomForSixDisksWhoeverNamesThem) {
  spec_.disks.resize(7, {"/d"});
  EXPECT_EQ(QemuBackend().Validate(spec_).size(), 1U);
  spec_.machine = Machine::kQ35;
  EXPECT_TRUE(QemuBackend().Validate(spec_).empty());
  spec_.machine = Machine::kMicrovm;
  spec_.disks.clear();
  boot_.disks.resize(7, {"/d"});
  EXPECT_EQ(Build().error().step, Step("disks"));
}

TEST_F(QemuTest, DirectoryTooLongForSocketsIsRefused) {
  paths_.dir = "/" + std::string(kMaxVmDirBytes, 'x');
  EXPECT_EQ(Build().error().errnum, ENAMETOOLONG);
}

TEST_F(QemuTest, KvmThatIsNotUsableIsAnErrorWhereAskedForAndTcgWhereNot) {
  host_.kvm.state = KvmState::kTooSlow;
  host_.kvm.text = "emulated";
  spec_.accel = Accel::kKvm;
  EXPECT_EQ(Build().error().step, Step("accel"));
  spec_.accel = Accel::kAuto;
  const auto launch = Build();
  ASSERT_TRUE(launch.has_value());
  EXPECT_EQ(launch->accel.accel, Accel::kTcg);
  EXPECT_EQ(launch->accel.reason, "emulated");
}

TEST_F(QemuTest, MissingHypervisorSaysWhatToInstall) {
  const auto found = QemuBackend().FindProgram("/nonexistent/qemu");
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(found.error().step, Step("find-hypervisor"));
  EXPECT_EQ(found.error().errnum, ENOENT);
  EXPECT_THAT(found.error().hint, HasSubstr("qemu-system-x86"));
}

TEST(QemuVersion, IsTakenFromItsFirstLine) {
  EXPECT_EQ(ParseQemuVersion("QEMU emulator version 7.2.22 (Debian 1:7.2)\nCopyright"), "7.2.22");
  EXPECT_EQ(ParseQemuVersion("QEMU emulator version 9.0.0"), "9.0.0");
  EXPECT_EQ(ParseQemuVersion("bash 5.2"), "");
  EXPECT_EQ(ParseQemuVersion(""), "");
}

}  // namespace
}  // namespace berth
