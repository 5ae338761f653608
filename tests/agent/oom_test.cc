// SPDX-License-Identifier: Apache-2.0
//
// Kills for want of memory: from the kernel's log to the hosts that follow. A pipe is the log.
#include <gtest/gtest.h>
#include <unistd.h>

#include "protocol/wire/handshake.h"
#include "protocol/wire/limits.h"
#include "tests/agent/agent_rig.h"
#include "tests/agent/raw_client.h"

namespace berth::testing {
namespace {

// One write is one record.
void LogKill(const AgentRig& rig, int pid) {
  const std::string record =
      "6,1,2,-;oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/berth/web,task_memcg=/berth/web,"
      "task=eat,pid=" +
      std::to_string(pid) + ",uid=0\n";
  ASSERT_EQ(write(rig.kernel_log(), record.data(), record.size()),
            static_cast<ssize_t>(record.size()));
}

RawClient FollowKills(const AgentRig& rig) {
  RawClient client(rig.Connect());
  client.SendBytes(RawClient::Hello(wire::kGeneration) +
                   RawClient::Encoded([](v1::Envelope& message) { message.mutable_follow(); }));
  v1::Envelope message = client.ReadMessage();
  while (!message.has_following()) message = client.ReadMessage();
  return client;
}

v1::GuestEvent ReadKill(RawClient& client) {
  v1::Envelope message = client.ReadMessage();
  EXPECT_TRUE(message.guest_event().has_oom_kill());
  return message.guest_event();
}

TEST(OomTest, AKillIsToldToTheHostThatFollows) {
  const AgentRig rig;
  RawClient client = FollowKills(rig);
  LogKill(rig, 123);
  const v1::OomKill kill = ReadKill(client).oom_kill();
  EXPECT_EQ(kill.process(), "eat");
  EXPECT_EQ(kill.pid(), 123U);
  EXPECT_EQ(kill.cgroup(), "/berth/web");
  EXPECT_EQ(kill.constraint(), v1::OomKill::CONSTRAINT_MEMCG);
  EXPECT_EQ(kill.forgotten(), 0U);
}

TEST(OomTest, SeveralAreKeptUntilAHostHearsThem) {
  const AgentRig rig;
  {
    // A record is read before the next is written, for a pipe keeps no borders.
    RawClient client = FollowKills(rig);
    for (int pid = 1; pid <= 3; ++pid) {
      LogKill(rig, pid);
      EXPECT_EQ(ReadKill(client).oom_kill().pid(), static_cast<uint32_t>(pid));
    }
  }
  RawClient later = FollowKills(rig);
  for (uint32_t pid = 1; pid <= 3; ++pid) {
    const v1::GuestEvent event = ReadKill(later);
    EXPECT_EQ(event.oom_kill().pid(), pid);
    v1::Envelope ack;
    ack.mutable_guest_event_ack()->set_seq(event.seq());
    later.Send(ack);
  }
  LogKill(rig, 4);
  EXPECT_EQ(ReadKill(later).oom_kill().pid(), 4U);
  RawClient last = FollowKills(rig);
  EXPECT_EQ(ReadKill(last).oom_kill().pid(), 4U) << "what was heard is told no more";
}

TEST(OomTest, WhatIsKeptIsBoundedAndWhatIsLostIsCounted) {
  const AgentRig rig;
  {
    RawClient client = FollowKills(rig);
    for (int pid = 1; pid <= wire::kMaxUnheardOomKills + 3; ++pid) {
      LogKill(rig, pid);
      ReadKill(client);
    }
  }
  RawClient later = FollowKills(rig);
  for (int i = 0; i < wire::kMaxUnheardOomKills; ++i) {
    const v1::OomKill kill = ReadKill(later).oom_kill();
    EXPECT_EQ(kill.pid(), static_cast<uint32_t>(i + 4));
    EXPECT_EQ(kill.forgotten(), i == 0 ? 3U : 0U);
  }
}

// A session whose program ends as `program` does once the kernel has killed something.
v1::ExecExited EndBesideAKill(const AgentRig& rig, const std::string& script) {
  RawClient client(rig.Connect());
  client.SendBytes(RawClient::Hello(wire::kGeneration));
  v1::Envelope start;
  *start.mutable_exec_start() = Command({"sh", "-c", script});
  start.mutable_exec_start()->set_stdin_open(true);
  client.Send(start);
  v1::Envelope message = client.ReadMessage();
  EXPECT_TRUE(message.has_exec_started());
  LogKill(rig, 55);
  client.SendEnd(wire::Stream::kStdin);
  while (!message.has_exec_exited()) {
    const auto frame = client.Read();
    if (!frame) break;
    message = frame->message;
  }
  return message.exec_exited();
}

TEST(OomTest, ASessionThatFailsBesideAKillSaysSo) {
  const AgentRig rig;
  const v1::ExecExited failed = EndBesideAKill(rig, "read line; exit 137");
  EXPECT_EQ(failed.code(), 137U);
  EXPECT_EQ(failed.oom_kill().pid(), 55U);
  EXPECT_FALSE(EndBesideAKill(rig, "read line; exit 0").has_oom_kill());
  // The next is not told of what was before it.
  const Finished later = rig.Run(Command({"sh", "-c", "exit 1"}));
  EXPECT_EQ(later.outcome->oom_kill, "");
}

}  // namespace
}  // namespace berth::testing
