// SPDX-License-Identifier: Apache-2.0
#include "init/processes.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "protocol/base/io.h"

namespace berth::init {
namespace {

TEST(ParseStat, TellsUserProcessesFromKernelThreadsAndZombies) {
  const auto user = ParseStat("412 (sh) S 1 412 412 0 -1 4194304 90 0 0");
  ASSERT_TRUE(user);
  EXPECT_EQ(user->pid, 412);
  EXPECT_FALSE(user->zombie);
  EXPECT_FALSE(user->kernel);
  EXPECT_TRUE(ParseStat("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0")->kernel);
  EXPECT_TRUE(ParseStat("413 (sh) Z 1 412 412 0 -1 4228100 0 0")->zombie);
}

TEST(ParseStat, IsNotFooledByANameWithParenthesesAndBlanks) {
  const auto process = ParseStat("77 (a) Z 2 (b c) R 1 77 77 0 -1 4194304 90 0 0");
  ASSERT_TRUE(process);
  EXPECT_EQ(process->pid, 77);
  EXPECT_FALSE(process->zombie);
}

TEST(ParseStat, RefusesWhatIsNoStat) {
  for (const char* text : {"", ")", "1 (x)", "1 (x) ", "x (y) S 1 1 1 0 -1 4194304 0",
                           "1 (x) S 1 1 1 0 -1", "1 (x) S 1 1 1 0 -1 flags 0"}) {
    EXPECT_FALSE(ParseStat(text)) << text;
  }
}

TEST(ParseStat, ReadsTheKernelsOwnText) {
  const auto text = ReadFile("/proc/self/stat", 4096);
  ASSERT_TRUE(text);
  const auto self = ParseStat(*text);
  ASSERT_TRUE(self);
  EXPECT_EQ(self->pid, getpid());
  EXPECT_FALSE(self->zombie);
  EXPECT_FALSE(self->kernel);
}

TEST(FindOther, FindsAProcessThatRuns) {
  const auto other = FindOther(-1);
  ASSERT_TRUE(other);
  EXPECT_NE(other->pid, 1);
  EXPECT_FALSE(other->zombie);
}

}  // namespace
}  // namespace berth::init
