// SPDX-License-Identifier: Apache-2.0
//
// Freeze and thaw of a real file system, and processors that come online.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/e2e/host.h"

namespace berth::e2e {
namespace {

using nlohmann::json;

class PowerVm : public testing::Test {
 protected:
  // With an ext4 on a disk of its own at /data.
  void UpWithDisk() {
    const std::string disk = host_.dir() + "/disk.img";
    std::ofstream(disk).close();
    std::filesystem::resize_file(disk, 32 << 20);
    const Outcome made = RunCommand({"mkfs.ext4", "-q", "-F", disk});
    ASSERT_EQ(made.code, 0) << made;
    host_.Up("vm", "demo", {"--disk", disk, "--append", "berth.modules=ext4"});
    const Outcome mounted = Sh("mkdir -p /data && mount -t ext4 /dev/vdb /data");
    ASSERT_EQ(mounted.code, 0) << mounted << host_.Berth({"console", "vm"});
  }
  Outcome Sh(const std::string& script) {
    return host_.Berth({"exec", "vm", "--", "sh", "-c", script});
  }

  Host host_;
};

TEST_F(PowerVm, AWriteWaitsWhileItsFileSystemIsFrozenAndGoesOnWhenItIsThawed) {
  UpWithDisk();
  const Outcome frozen = host_.Berth({"freeze", "vm", "--timeout", "120s"});
  ASSERT_EQ(frozen.code, 0) << frozen;
  EXPECT_TRUE(frozen.out.contains("/data") && frozen.out.contains("frozen")) << frozen;
  EXPECT_EQ(host_.Berth({"freeze", "vm"}).code, 1) << "it is frozen already";
  // A writer in the guest says when it begins and when it is through.
  const auto writer = host_.StartBerth(
      {"exec", "vm", "--", "sh", "-c", "echo begun; echo x >/data/file; echo through"});
  ASSERT_TRUE(writer->WaitForOutput("begun", Deadline::In(kCommandTimeout))) << writer->so_far();
  // Its write is in the kernel, and stays there.
  EXPECT_EQ(Sh("until grep -q ') D ' /proc/[0-9]*/stat 2>/dev/null; do :; done").code, 0);
  EXPECT_FALSE(writer->so_far().out.contains("through")) << writer->so_far();
  const Outcome thawed = host_.Berth({"thaw", "vm"});
  EXPECT_EQ(thawed.code, 0) << thawed;
  EXPECT_EQ(thawed.out, "vm: 1 thawed\n");
  const Outcome written = writer->Wait(Deadline::In(kCommandTimeout));
  EXPECT_EQ(written.code, 0) << written;
  EXPECT_TRUE(written.out.ends_with("through\n")) << written;
  EXPECT_EQ(host_.Berth({"thaw", "vm"}).out, "vm: 0 thawed\n");
}

// The agent's only thread would wait in the write, and nobody could thaw any more.
TEST_F(PowerVm, ACopyIntoAFrozenGuestIsRefusedAndOneOutOfItIsNot) {
  UpWithDisk();
  const std::string file = host_.dir() + "/file";
  std::ofstream(file) << "x";
  ASSERT_EQ(host_.Berth({"freeze", "vm", "--timeout", "120s"}).code, 0);
  const Outcome refused = host_.Berth({"cp", file, "vm:/data/file"});
  EXPECT_EQ(refused.code, 1) << refused;
  EXPECT_TRUE(refused.err.contains("EBUSY") && refused.err.contains("frozen")) << refused;
  const Outcome out = host_.Berth({"cp", "vm:/proc/version", "-"});
  EXPECT_EQ(out.code, 0) << out;
  EXPECT_EQ(host_.Berth({"thaw", "vm"}).out, "vm: 1 thawed\n");
  const Outcome copied = host_.Berth({"cp", file, "vm:/data/file"});
  EXPECT_EQ(copied.code, 0) << copied;
  EXPECT_EQ(Sh("cat /data/file").out, "x");
}

TEST_F(PowerVm, WhatNobodyThawsIsThawedInTimeAlsoByTheNextAgent) {
  UpWithDisk();
  const auto events = host_.StartBerth({"events", "-f", "vm"});
  ASSERT_EQ(host_.Berth({"freeze", "vm", "--timeout", "1s"}).code, 0);
  // Ends when the write went through.
  EXPECT_EQ(Sh("echo x >/data/one").code, 0);
  EXPECT_TRUE(events->WaitForOutput("thawed by its agent", Deadline::In(kCommandTimeout)))
      << events->so_far();

  ASSERT_EQ(host_.Berth({"freeze", "vm", "--timeout", "10m"}).code, 0);
  Sh("kill -9 $(pidof berth-agent)");
  const auto deadline = Deadline::In(kCommandTimeout);
  while (Sh("echo x >/data/two").code != 0) ASSERT_FALSE(deadline.Passed());
}

TEST_F(PowerVm, AProcessorThatWasTakenOfflineComesBack) {
  host_.Up("vm", "demo", {"--vcpus", "2"});
  ASSERT_EQ(Sh("echo 0 >/sys/devices/system/cpu/cpu1/online").code, 0);
  const Outcome online = host_.Berth({"online", "vm", "--json"});
  const json answer = json::parse(online.out, nullptr, false);
  ASSERT_TRUE(answer.is_object() && answer.contains("cpus")) << online;
  EXPECT_EQ(answer["cpus"].value("before", 0), 1) << online;
  EXPECT_EQ(answer["cpus"].value("after", 0), 2) << online;
  EXPECT_EQ(Sh("cat /sys/devices/system/cpu/online").out, "0-1\n");
}

}  // namespace
}  // namespace berth::e2e
