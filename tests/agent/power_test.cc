// SPDX-License-Identifier: Apache-2.0
//
// Freeze, thaw and online as the agent answers them, with its children; nothing of this machine is
// frozen: what the rig names as mounts cannot be. The rest is tests/e2e/power_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "protocol/base/io.h"
#include "supervisor/guest/call.h"
#include "tests/agent/agent_rig.h"
#include "tests/agent/raw_client.h"

namespace berth::testing {
namespace {

using ::testing::HasSubstr;

class PowerTest : public ::testing::Test {
 protected:
  v1::Envelope Call(const std::function<void(v1::Envelope&)>& fill) { return Call(fill, rig_); }
  static v1::Envelope Call(const std::function<void(v1::Envelope&)>& fill, const AgentRig& rig) {
    RawClient client(rig.Connect());
    client.SendBytes(RawClient::Hello(3));
    v1::Envelope request;
    fill(request);
    client.Send(request);
    v1::Envelope answer = client.ReadMessage();
    return answer.has_hello() ? client.ReadMessage() : answer;
  }
  void Put(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << text;
  }

  TempDir files_;
  AgentRig rig_;
};

TEST_F(PowerTest, AFreezeSaysOfEachMountWhyItIsNotFrozen) {
  Put(rig_.mountinfo_path(),
      "21 1 254:0 / /proc rw - ext4 /dev/vda rw\n"
      "22 1 254:16 / /no/such/mount rw - xfs /dev/vdb rw\n"
      "23 1 254:32 / /image ro - erofs /dev/vdc ro\n"
      "24 1 0:20 / /run rw - tmpfs tmpfs rw\n");
  const v1::Envelope answer =
      Call([](v1::Envelope& request) { request.mutable_freeze()->set_timeout_ms(1000); });
  ASSERT_TRUE(answer.has_freeze_reply()) << answer.failure().detail();
  const v1::FreezeReply& reply = answer.freeze_reply();
  EXPECT_THAT(reply.failed(), HasSubstr("no writable file system"));
  ASSERT_EQ(reply.mounts_size(), 3);
  EXPECT_EQ(reply.mounts(0).path(), "/no/such/mount");
  EXPECT_THAT(reply.mounts(0).why(), HasSubstr("ENOENT"));
  EXPECT_EQ(reply.mounts(1).path(), "/proc");
  EXPECT_FALSE(reply.mounts(1).frozen());
  EXPECT_EQ(reply.mounts(2).why(), "read-only");
  // Nothing is frozen: another freeze is none too many, and there is nothing to thaw.
  EXPECT_TRUE(Call([](v1::Envelope& request) { request.mutable_freeze(); }).has_freeze_reply());
  const v1::Envelope thawed = Call([](v1::Envelope& request) { request.mutable_thaw(); });
  ASSERT_TRUE(thawed.has_thaw_reply());
  EXPECT_EQ(thawed.thaw_reply().mounts(), 0U);
}

// The agent's only thread must not wait in a write: nobody could thaw any more.
TEST_F(PowerTest, NothingIsFrozenWhileACopyWrites) {
  Put(rig_.mountinfo_path(), "");
  v1::Envelope start;
  start.mutable_copy_start()->set_direction(v1::CopyStart::TO_GUEST);
  start.mutable_copy_start()->set_path(files_ / "new");
  const auto freeze = [this] {
    return Call([](v1::Envelope& request) { request.mutable_freeze(); }).failure().errnum();
  };
  {
    RawClient copy(rig_.Connect());
    copy.SendBytes(guest::EncodeOpening(start).value());
    // Until the agent has read it. That it is there tells nobody.
    EXPECT_TRUE(Eventually([&] { return freeze() == EBUSY; }));
  }
  EXPECT_TRUE(Eventually([&] { return freeze() == 0; }));
}

TEST_F(PowerTest, NoCopyWritesWhileSomethingIsFrozen) {
  // Says of every path that it was done, and does nothing.
  const std::string program = files_ / "chores";
  Put(program, "#!/bin/sh\nshift 2\nfor each; do echo 0; done\n");
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  AgentRig rig({}, program);
  Put(rig.mountinfo_path(), "21 1 254:0 / /data rw - ext4 /dev/vda rw\n");
  const auto copy = [&](v1::CopyStart::Direction direction) {
    v1::Envelope start;
    start.mutable_copy_start()->set_direction(direction);
    start.mutable_copy_start()->set_path(files_ / "chores");
    RawClient client(rig.Connect());
    client.SendBytes(guest::EncodeOpening(start).value());
    return client.ReadMessage();
  };
  ASSERT_EQ(
      Call([](v1::Envelope& request) { request.mutable_freeze(); }, rig).freeze_reply().failed(),
      "");
  const v1::Envelope refused = copy(v1::CopyStart::TO_GUEST);
  EXPECT_EQ(refused.failure().step(), "copy");
  EXPECT_EQ(refused.failure().errnum(), EBUSY);
  EXPECT_TRUE(copy(v1::CopyStart::FROM_GUEST).has_copy_entry());
  EXPECT_EQ(Call([](v1::Envelope& request) { request.mutable_thaw(); }, rig).thaw_reply().mounts(),
            1U);
}

// A thaw that could not be done is no reason to leave a guest frozen for good.
TEST_F(PowerTest, WhatCannotBeThawedIsTriedAgain) {
  const std::string program = files_ / "chores";
  Put(program, "#!/bin/sh\n[ \"$2\" = freeze ] || [ -e " + (files_ / "able") +
                   " ] || exit 1\nshift 2\nfor each; do echo 0; done\n");
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  AgentRig rig({}, program);
  Put(rig.mountinfo_path(), "21 1 254:0 / /data rw - ext4 /dev/vda rw\n");
  const auto thaw = [&] {
    return Call([](v1::Envelope& request) { request.mutable_thaw(); }, rig);
  };
  ASSERT_EQ(
      Call([](v1::Envelope& request) { request.mutable_freeze(); }, rig).freeze_reply().failed(),
      "");
  const v1::Failure failure = thaw().failure();
  EXPECT_EQ(failure.errnum(), EAGAIN);
  EXPECT_THAT(failure.detail(), HasSubstr("/data: its child was killed"));
  Put(files_ / "able", "");
  // By the agent itself: there is nothing left for this host to thaw then.
  EXPECT_TRUE(Eventually([&] {
    const v1::Envelope freeze = Call([](v1::Envelope& request) { request.mutable_freeze(); }, rig);
    return freeze.has_freeze_reply() && freeze.freeze_reply().failed().empty();
  }));
  EXPECT_EQ(thaw().thaw_reply().mounts(), 1U);
}

// It may have died between the freeze and the word of it.
TEST_F(PowerTest, WhatAKilledFreezeMayHaveFrozenIsThawed) {
  const std::string program = files_ / "chores";
  Put(program,
      "#!/bin/sh\n[ \"$2\" = thaw ] || kill -9 $$\nshift 2\nfor each; do echo 0 | tee -a " +
          (files_ / "thawed") + "; done\n");
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  AgentRig rig({}, program);
  Put(rig.mountinfo_path(), "21 1 254:0 / /data rw - ext4 /dev/vda rw\n");
  const v1::Envelope freeze = Call([](v1::Envelope& request) { request.mutable_freeze(); }, rig);
  EXPECT_THAT(freeze.freeze_reply().failed(), HasSubstr("its child was killed"));
  EXPECT_TRUE(std::filesystem::exists(files_ / "thawed"));
  EXPECT_EQ(Call([](v1::Envelope& request) { request.mutable_thaw(); }, rig).thaw_reply().mounts(),
            0U);
}

TEST_F(PowerTest, AnImpossibleTimeoutIsRefused) {
  EXPECT_EQ(Call([](v1::Envelope& request) { request.mutable_freeze()->set_timeout_ms(600'001); })
                .failure()
                .errnum(),
            EINVAL);
}

TEST_F(PowerTest, WhatIsPluggedIsBroughtOnlineAndCounted) {
  const std::string devices = rig_.devices_path();
  std::filesystem::create_directories(devices + "/cpu/cpu0");
  Put(devices + "/cpu/cpu1/online", "0\n");
  Put(devices + "/cpu/cpu2/online", "1\n");
  Put(devices + "/cpu/cpufreq/online", "0\n");
  Put(devices + "/memory/memory32/online", "0\n");
  std::filesystem::create_directories(devices + "/cpu/cpu3/online");  // cannot be written
  const v1::Envelope answer = Call([](v1::Envelope& request) { request.mutable_online(); });
  ASSERT_TRUE(answer.has_online_reply()) << answer.failure().detail();
  const v1::OnlineReply& reply = answer.online_reply();
  EXPECT_EQ(reply.cpus_before(), 2U);
  EXPECT_EQ(reply.cpus_after(), 3U);
  EXPECT_EQ(reply.cpus_present(), 4U);
  EXPECT_EQ(reply.memory_before(), 0U);
  EXPECT_EQ(reply.memory_after(), 1U);
  EXPECT_EQ(reply.memory_present(), 1U);
  EXPECT_THAT(reply.failed(), HasSubstr("cpu3: EISDIR"));
  EXPECT_EQ(ReadFile((devices + "/cpu/cpu1/online").c_str(), 16).value(), "1\n");
  EXPECT_EQ(ReadFile((devices + "/cpu/cpufreq/online").c_str(), 16).value(), "0\n");
}

}  // namespace
}  // namespace berth::testing
