// SPDX-License-Identifier: Apache-2.0
#include "supervisor/guest/oom_kill.h"

#include <gtest/gtest.h>

namespace berth::guest {
namespace {

v1::OomKill Kill(const std::string& process, const std::string& cgroup) {
  v1::OomKill kill;
  kill.set_process(process);
  kill.set_pid(123);
  kill.set_uid(33);
  kill.set_cgroup(cgroup);
  return kill;
}

TEST(OomKill, OfAServiceNamesIt) {
  v1::OomKill kill = Kill("python3", "/berth/web/worker");
  kill.set_constraint(v1::OomKill::CONSTRAINT_MEMCG);
  EXPECT_EQ(ExplainOomKill(kill),
            "out of memory: its kernel killed python3 (pid 123, uid 33) in /berth/web/worker, "
            "service web: the cgroup is at its memory limit");
}

TEST(OomKill, OfTheMachine) {
  v1::OomKill kill = Kill("eat", "/");
  kill.set_forgotten(4);
  EXPECT_EQ(ExplainOomKill(kill),
            "out of memory: its kernel killed eat (pid 123, uid 33): the machine's memory is used "
            "up (4 such kills before it were forgotten)");
}

TEST(OomKill, AClaimIsMadePrintable) {
  v1::OomKill kill = Kill("a\x1b[2J", "/berth/");
  kill.set_constraint(static_cast<v1::OomKill::Constraint>(99));
  EXPECT_EQ(ExplainOomKill(kill),
            "out of memory: its kernel killed a?[2J (pid 123, uid 33) in /berth/");
}

}  // namespace
}  // namespace berth::guest
