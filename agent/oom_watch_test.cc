// SPDX-License-Identifier: Apache-2.0
//
// The records are those of a Linux 6.1 guest.
#include "agent/oom_watch.h"

#include <gtest/gtest.h>

#include "protocol/wire/limits.h"

namespace berth::agent {
namespace {

constexpr const char* kLimit =
    "6,321,5678901,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,"
    "oom_memcg=/berth/web,task_memcg=/berth/web,task=python3,pid=123,uid=33\n SUBSYSTEM=x\n";

TEST(OomRecord, OfACgroupsLimit) {
  const auto kill = ParseOomRecord(kLimit);
  ASSERT_TRUE(kill);
  EXPECT_EQ(kill->process(), "python3");
  EXPECT_EQ(kill->pid(), 123U);
  EXPECT_EQ(kill->uid(), 33U);
  EXPECT_EQ(kill->cgroup(), "/berth/web");
  EXPECT_EQ(kill->constraint(), v1::OomKill::CONSTRAINT_MEMCG);
}

TEST(OomRecord, OfTheMachinesMemory) {
  const auto kill = ParseOomRecord(
      "6,9,1,-;oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,"
      "global_oom,task_memcg=/,task=eat,pid=77,uid=0\n");
  ASSERT_TRUE(kill);
  EXPECT_EQ(kill->process(), "eat");
  EXPECT_EQ(kill->cgroup(), "/");
  EXPECT_EQ(kill->constraint(), v1::OomKill::CONSTRAINT_NONE);
}

TEST(OomRecord, ANameMayHoldAnything) {
  const auto kill = ParseOomRecord(
      "6,9,1,-;oom-kill:constraint=CONSTRAINT_CPUSET,task_memcg=/"
      "a,task=x,pid=1,uid=2,pid=77,uid=0");
  ASSERT_TRUE(kill);
  EXPECT_EQ(kill->process(), "x,pid=1,uid=2");
  EXPECT_EQ(kill->pid(), 77U);
  EXPECT_EQ(kill->constraint(), v1::OomKill::CONSTRAINT_OTHER);
}

TEST(OomRecord, WhatAProcessWroteThereIsNotTheKernelsWord) {
  std::string forged = kLimit;
  forged.replace(0, 1, "14");  // user.info
  EXPECT_FALSE(ParseOomRecord(forged));
}

TEST(OomRecord, OtherRecordsAreNone) {
  for (const char* record :
       {"", ";", "6,1,2,-;Linux version 6.1",
        "6;oom-kill:constraint=", "6,9,1,-;oom-kill:constraint=CONSTRAINT_NONE,task=x,pid=,uid=0",
        "6,9,1,-;oom-kill:constraint=CONSTRAINT_NONE,task=x,pid=99999999999,uid=0",
        "6,9,1,-;Out of memory: Killed process 77 (eat) total-vm:1kB",
        "x,9,1,-;oom-kill:constraint=CONSTRAINT_NONE,task_memcg=/,task=x,pid=1,uid=0"}) {
    EXPECT_FALSE(ParseOomRecord(record)) << record;
  }
}

TEST(OomRecord, LongTextsAreCut) {
  const auto kill = ParseOomRecord("6,9,1,-;oom-kill:constraint=CONSTRAINT_NONE,task_memcg=/" +
                                   std::string(4000, 'x') + ",task=a,pid=1,uid=0");
  ASSERT_TRUE(kill);
  EXPECT_EQ(kill->cgroup().size(), wire::kMaxStatsTextBytes);
}

}  // namespace
}  // namespace berth::agent
