// SPDX-License-Identifier: Apache-2.0
#include "init/services.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace berth::init {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

constexpr Services::Time kStart{};
constexpr BackoffPolicy kPolicy{.first = 100ms, .longest = 1s, .stable_after = 10s, .budget = 3};
constexpr int kExit1 = 1 << 8;

// A service whose starts are counted, not made.
class ServicesTest : public testing::Test {
 protected:
  ServicesTest() {
    services_.Add("agent", kPolicy, [this]() -> Result<pid_t> {
      ++starts_;
      if (fail_) return Fail("exec", ENOENT, "/sbin/berth-agent");
      return 100 + starts_;
    });
  }
  Services services_;
  int starts_ = 0;
  bool fail_ = false;
};

TEST_F(ServicesTest, StartsWhatIsAddedOnceAndOnlyOnce) {
  EXPECT_TRUE(services_.StartDue(kStart));
  EXPECT_TRUE(services_.StartDue(kStart));
  EXPECT_EQ(starts_, 1);
  EXPECT_EQ(services_.PidOf("agent"), 101);
  EXPECT_EQ(services_.PidOf("other"), -1);
  EXPECT_FALSE(services_.next_start());
}

TEST_F(ServicesTest, RestartsWhenTheBackoffIsOverAndNotBefore) {
  ASSERT_TRUE(services_.StartDue(kStart));
  auto end = services_.Reaped(101, SIGKILL, kStart + 1s);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->name, "agent");
  EXPECT_EQ(end->how, "SIGKILL");
  EXPECT_EQ(end->restart_in, 0ms);
  ASSERT_TRUE(services_.StartDue(kStart + 1s));
  EXPECT_EQ(starts_, 2);

  end = services_.Reaped(102, kExit1, kStart + 2s);
  EXPECT_EQ(end->how, "exit code 1");
  EXPECT_EQ(end->restart_in, 100ms);
  EXPECT_EQ(services_.next_start(), kStart + 2100ms);
  ASSERT_TRUE(services_.StartDue(kStart + 2099ms));
  EXPECT_EQ(starts_, 2);
  ASSERT_TRUE(services_.StartDue(kStart + 2100ms));
  EXPECT_EQ(starts_, 3);
}

TEST_F(ServicesTest, OrphansAndOldPidsAreNobodys) {
  ASSERT_TRUE(services_.StartDue(kStart));
  EXPECT_FALSE(services_.Reaped(4711, 0, kStart));
  ASSERT_TRUE(services_.Reaped(101, 0, kStart));
  EXPECT_FALSE(services_.Reaped(101, 0, kStart));
}

TEST_F(ServicesTest, SpentBudgetIsACrashLoop) {
  for (int life = 1; life <= 3; ++life) {
    ASSERT_TRUE(services_.StartDue(kStart + std::chrono::seconds(life)));
    const auto end = services_.Reaped(100 + life, kExit1, kStart + std::chrono::seconds(life));
    ASSERT_TRUE(end);
    EXPECT_EQ(end->crash_loop, life == 3);
    EXPECT_FALSE(end->was_stable);
  }
}

TEST_F(ServicesTest, AProgramThatCannotStartIsTriedAgainLater) {
  fail_ = true;
  EXPECT_FALSE(services_.StartDue(kStart));
  EXPECT_FALSE(services_.StartDue(kStart));  // the first failure is forgiven at once
  EXPECT_TRUE(services_.StartDue(kStart));
  EXPECT_EQ(starts_, 2);
  EXPECT_EQ(services_.next_start(), kStart + 100ms);
}

TEST_F(ServicesTest, NothingStartsAgainOnceTheShutdownHasBegun) {
  ASSERT_TRUE(services_.StartDue(kStart));
  services_.StopRestarting();
  EXPECT_TRUE(services_.Reaped(101, SIGTERM, kStart));
  EXPECT_FALSE(services_.next_start());
  EXPECT_TRUE(services_.StartDue(kStart + 60s));
  EXPECT_EQ(starts_, 1);
}

TEST_F(ServicesTest, AWaitingServiceDoesNotStartAfterTheShutdownHasBegun) {
  services_.StopRestarting();
  EXPECT_TRUE(services_.StartDue(kStart + 60s));
  EXPECT_EQ(starts_, 0);
  EXPECT_FALSE(services_.next_start());
}

TEST(DescribeWaitStatus, TellsCodesFromSignals) {
  EXPECT_EQ(DescribeWaitStatus(7 << 8), "exit code 7");
  EXPECT_EQ(DescribeWaitStatus(SIGSEGV | 0x80), "SIGSEGV (core dumped)");
  EXPECT_EQ(DescribeWaitStatus(SIGRTMAX), "signal " + std::to_string(SIGRTMAX));
}

}  // namespace
}  // namespace berth::init
