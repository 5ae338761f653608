// SPDX-License-Identifier: Apache-2.0
#include "init/agent_life.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace berth::init {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

constexpr AgentLife::Time kStart{};
constexpr BackoffPolicy kPolicy{.first = 100ms, .longest = 1s, .stable_after = 10s, .budget = 3};
constexpr int kExit1 = 1 << 8;

// Starts are counted, not made.
class AgentLifeTest : public testing::Test {
 protected:
  AgentLife agent_{kPolicy, [this]() -> Result<pid_t> {
                     ++starts_;
                     if (fail_) return Fail("exec", ENOENT, "/sbin/berth-agent");
                     return 100 + starts_;
                   }};
  int starts_ = 0;
  bool fail_ = false;
};

TEST_F(AgentLifeTest, StartsOnceAndOnlyOnce) {
  EXPECT_TRUE(agent_.StartIfDue(kStart));
  EXPECT_TRUE(agent_.StartIfDue(kStart));
  EXPECT_EQ(starts_, 1);
  EXPECT_EQ(agent_.pid(), 101);
  EXPECT_FALSE(agent_.next_start());
}

TEST_F(AgentLifeTest, RestartsWhenTheBackoffIsOverAndNotBefore) {
  ASSERT_TRUE(agent_.StartIfDue(kStart));
  auto end = agent_.Reaped(101, SIGKILL, kStart + 1s);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->how, "SIGKILL");
  EXPECT_EQ(end->restart_in, 0ms);
  ASSERT_TRUE(agent_.StartIfDue(kStart + 1s));
  EXPECT_EQ(starts_, 2);

  end = agent_.Reaped(102, kExit1, kStart + 2s);
  EXPECT_EQ(end->how, "exit code 1");
  EXPECT_EQ(end->restart_in, 100ms);
  EXPECT_EQ(agent_.next_start(), kStart + 2100ms);
  ASSERT_TRUE(agent_.StartIfDue(kStart + 2099ms));
  EXPECT_EQ(starts_, 2);
  ASSERT_TRUE(agent_.StartIfDue(kStart + 2100ms));
  EXPECT_EQ(starts_, 3);
}

TEST_F(AgentLifeTest, OrphansAndOldPidsAreNotItsOwn) {
  ASSERT_TRUE(agent_.StartIfDue(kStart));
  EXPECT_FALSE(agent_.Reaped(4711, 0, kStart));
  ASSERT_TRUE(agent_.Reaped(101, 0, kStart));
  EXPECT_FALSE(agent_.Reaped(101, 0, kStart));
}

TEST_F(AgentLifeTest, SpentBudgetIsACrashLoop) {
  for (int life = 1; life <= 3; ++life) {
    ASSERT_TRUE(agent_.StartIfDue(kStart + std::chrono::seconds(life)));
    const auto end = agent_.Reaped(100 + life, kExit1, kStart + std::chrono::seconds(life));
    ASSERT_TRUE(end);
    EXPECT_EQ(end->crash_loop, life == 3);
    EXPECT_FALSE(end->was_stable);
  }
}

TEST_F(AgentLifeTest, AProgramThatCannotStartIsTriedAgainLater) {
  fail_ = true;
  EXPECT_FALSE(agent_.StartIfDue(kStart));
  EXPECT_FALSE(agent_.StartIfDue(kStart));  // the first failure is forgiven at once
  EXPECT_TRUE(agent_.StartIfDue(kStart));
  EXPECT_EQ(starts_, 2);
  EXPECT_EQ(agent_.next_start(), kStart + 100ms);
}

TEST_F(AgentLifeTest, NothingStartsAgainOnceTheShutdownHasBegun) {
  ASSERT_TRUE(agent_.StartIfDue(kStart));
  agent_.StopRestarting();
  EXPECT_TRUE(agent_.Reaped(101, SIGTERM, kStart));
  EXPECT_FALSE(agent_.next_start());
  EXPECT_TRUE(agent_.StartIfDue(kStart + 60s));
  EXPECT_EQ(starts_, 1);
}

TEST_F(AgentLifeTest, OneThatWaitsDoesNotStartAfterTheShutdownHasBegun) {
  agent_.StopRestarting();
  EXPECT_TRUE(agent_.StartIfDue(kStart + 60s));
  EXPECT_EQ(starts_, 0);
  EXPECT_FALSE(agent_.next_start());
}

}  // namespace
}  // namespace berth::init
