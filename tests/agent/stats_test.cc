// SPDX-License-Identifier: Apache-2.0
//
// Statistics: the agent's answer, of this machine's kernel and of files of the test's.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "protocol/wire/handshake.h"
#include "protocol/wire/limits.h"
#include "supervisor/guest/check_stats.h"
#include "tests/agent/agent_rig.h"
#include "tests/agent/raw_client.h"

namespace berth::testing {
namespace {

std::string Question(uint32_t generation = wire::kGeneration) {
  return RawClient::Hello(generation) +
         RawClient::Encoded([](v1::Envelope& message) { message.mutable_stats_call(); });
}

v1::StatsReply Ask(const AgentRig& rig) {
  RawClient client(rig.Connect());
  client.SendBytes(Question());
  v1::Envelope message = client.ReadMessage();
  if (message.has_hello()) message = client.ReadMessage();
  EXPECT_TRUE(message.has_stats_reply());
  return message.stats_reply();
}

TEST(StatsTest, TellsWhatTheKernelCounts) {
  const AgentRig rig;
  const v1::StatsReply reply = Ask(rig);
  EXPECT_TRUE(guest::CheckStatsReply(reply));
  EXPECT_EQ(reply.cpu().count(), static_cast<uint32_t>(sysconf(_SC_NPROCESSORS_ONLN)));
  EXPECT_GT(reply.cpu().user_us() + reply.cpu().system_us(), 0U);
  EXPECT_GT(reply.memory().total_bytes(), reply.memory().available_bytes());
  EXPECT_GT(reply.memory().available_bytes(), 0U);
  EXPECT_GT(reply.uptime_us(), 0U);
  EXPECT_GT(reply.monotonic_us(), 0U);
  const auto& interfaces = reply.interfaces();
  EXPECT_TRUE(std::any_of(interfaces.begin(), interfaces.end(),
                          [](const auto& each) { return each.name() == "lo"; }));
}

TEST(StatsTest, GroupsAreThoseOfTheirFolders) {
  const TempDir dir;
  const auto put = [&](const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(dir / path).parent_path());
    std::ofstream(dir / path) << text;
  };
  put("services/web/memory.current", "1000\n");
  put("services/web/memory.peak", "2000\n");
  put("services/web/cpu.stat", "usage_usec 30\nuser_usec 20\n");
  put("services/web/pids.current", "4\n");
  put("services/web/memory.events", "oom 1\noom_kill 1\n");
  put("services/web/io.stat", "254:0 rbytes=5 wbytes=6\n");
  put("services/db/memory.current", "7\n");
  put("services/cgroup.procs", "");
  put("sessions/17/memory.current", "9\n");
  put("sessions/17/cgroup.events", "populated 1\nfrozen 0\n");
  put("sessions/18/cgroup.events", "populated 0\nfrozen 0\n");
  const AgentRig rig({.proc = "/proc", .services = dir / "services", .sessions = dir / "sessions"});
  const v1::StatsReply reply = Ask(rig);
  ASSERT_EQ(reply.services_size(), 2);
  EXPECT_EQ(reply.services(0).name(), "db");
  EXPECT_FALSE(reply.services(0).has_cpu_us());
  const auto& web = reply.services(1);
  EXPECT_EQ(web.name(), "web");
  EXPECT_EQ(web.memory_bytes(), 1000U);
  EXPECT_EQ(web.memory_peak_bytes(), 2000U);
  EXPECT_EQ(web.cpu_us(), 30U);
  EXPECT_EQ(web.tasks(), 4U);
  EXPECT_EQ(web.oom_kills(), 1U);
  EXPECT_EQ(web.read_bytes(), 5U);
  EXPECT_EQ(web.write_bytes(), 6U);
  ASSERT_EQ(reply.sessions_size(), 1);
  EXPECT_EQ(reply.sessions(0).name(), "17");
}

// They were looked for in a folder of another name, which never is.
TEST(StatsTest, SessionsAreLookedForWhereTheirCgroupsAreMade) {
  EXPECT_EQ(agent::StatsSources().sessions, "/sys/fs/cgroup/berth.sessions");
}

TEST(StatsTest, TooManyGroupsAreCountedAndLeftOut) {
  const TempDir dir;
  for (int i = 0; i < wire::kMaxStatsGroups + 5; ++i) {
    std::filesystem::create_directories(dir / ("services/s" + std::to_string(i)));
  }
  const AgentRig rig({.proc = "/proc", .services = dir / "services", .sessions = dir / "none"});
  const v1::StatsReply reply = Ask(rig);
  EXPECT_EQ(reply.services_size(), wire::kMaxStatsGroups);
  EXPECT_EQ(reply.left_out(), 5U);
  EXPECT_TRUE(guest::CheckStatsReply(reply));
}

TEST(StatsTest, AKernelThatTellsNothingIsAnsweredAllTheSame) {
  const TempDir dir;
  const AgentRig rig({.proc = dir / "proc", .services = dir / "a", .sessions = dir / "b"});
  const v1::StatsReply reply = Ask(rig);
  EXPECT_EQ(reply.cpu().count(), 0U);
  EXPECT_FALSE(reply.has_cpu_pressure());
  EXPECT_FALSE(reply.has_io_pressure());
}

TEST(StatsTest, OlderHostsHaveNone) {
  const AgentRig rig;
  RawClient client(rig.Connect());
  client.SendBytes(Question(wire::kServiceGeneration));
  EXPECT_EQ(client.ReadFailure().errnum(), EPROTO);
}

}  // namespace
}  // namespace berth::testing
