// SPDX-License-Identifier: Apache-2.0
#include "init/backoff.h"

#include <gtest/gtest.h>

namespace berth::init {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

constexpr BackoffPolicy kPolicy{
    .first = 100ms, .longest = 1000ms, .stable_after = 10s, .budget = 3};

TEST(Backoff, RestartsAtOnceAfterALongLife) {
  Backoff backoff(kPolicy);
  EXPECT_EQ(backoff.Ended(10s), 0ms);
  EXPECT_TRUE(backoff.was_stable());
  EXPECT_EQ(backoff.Ended(11s), 0ms);
}

TEST(Backoff, FirstShortLifeRestartsAtOnceThenDoublesUpToTheLongest) {
  Backoff backoff(kPolicy);
  EXPECT_EQ(backoff.Ended(1s), 0ms);
  EXPECT_EQ(backoff.Ended(1s), 100ms);
  EXPECT_EQ(backoff.Ended(1s), 200ms);
  EXPECT_EQ(backoff.Ended(1s), 400ms);
  EXPECT_EQ(backoff.Ended(1s), 800ms);
  EXPECT_EQ(backoff.Ended(1s), 1000ms);
  for (int i = 0; i < 10'000; ++i) EXPECT_EQ(backoff.Ended(0s), 1000ms);
}

TEST(Backoff, IsACrashLoopOnceTheBudgetIsSpent) {
  Backoff backoff(kPolicy);
  backoff.Ended(0s);
  backoff.Ended(0s);
  EXPECT_FALSE(backoff.crash_loop());
  backoff.Ended(0s);
  EXPECT_TRUE(backoff.crash_loop());
  EXPECT_FALSE(backoff.was_stable());
}

TEST(Backoff, ALongLifeForgivesTheShortOnesBefore) {
  Backoff backoff(kPolicy);
  for (int i = 0; i < 5; ++i) backoff.Ended(0s);
  backoff.Ended(60s);
  EXPECT_FALSE(backoff.crash_loop());
  EXPECT_EQ(backoff.Ended(0s), 0ms);
  EXPECT_EQ(backoff.Ended(0s), 100ms);
}

TEST(Backoff, JitterMovesAWaitUpAndDownAndNothingElse) {
  const BackoffPolicy policy{.first = 1000ms, .longest = 1000ms, .budget = 0, .jitter = 0.2};
  Backoff backoff(policy);
  EXPECT_EQ(backoff.Ended(0ms, 0.0), 0ms);
  EXPECT_EQ(backoff.Ended(0ms, 0.0), 800ms);
  EXPECT_EQ(backoff.Ended(0ms, 0.5), 1000ms);
  EXPECT_EQ(backoff.Ended(0ms, 1.0), 1200ms);
}

TEST(Backoff, ABudgetOfZeroIsNeverSpentAndForgivingStartsAnew) {
  Backoff backoff(BackoffPolicy{.budget = 0});
  for (int i = 0; i < 100; ++i) backoff.Ended(0ms);
  EXPECT_FALSE(backoff.crash_loop());
  backoff.Forgive();
  EXPECT_EQ(backoff.Ended(0ms), 0ms);
}

}  // namespace
}  // namespace berth::init
