// SPDX-License-Identifier: Apache-2.0
//
// The state machine of a check, on a clock of the test's own.
#include "agent/health_state.h"

#include <gtest/gtest.h>

namespace berth::agent {
namespace {

using std::chrono_literals::operator""s;
using Verdict = HealthState::Verdict;

constexpr HealthState::Time kBegin{1000s};

TEST(HealthStateTest, IsUnknownUntilSoManyInARowAgree) {
  HealthState state({.healthy_after = 2, .unhealthy_after = 3}, kBegin);
  EXPECT_FALSE(state.Take(true, kBegin + 1s));
  EXPECT_EQ(state.verdict(), Verdict::kUnknown);
  EXPECT_TRUE(state.Take(true, kBegin + 2s));
  EXPECT_EQ(state.verdict(), Verdict::kHealthy);
  EXPECT_EQ(state.since(), kBegin + 2s);
}

TEST(HealthStateTest, OneSuccessForgivesTheFailuresBeforeIt) {
  HealthState state({.healthy_after = 1, .unhealthy_after = 2}, kBegin);
  state.Take(true, kBegin);
  EXPECT_FALSE(state.Take(false, kBegin + 1s));
  EXPECT_FALSE(state.Take(true, kBegin + 2s));
  EXPECT_FALSE(state.Take(false, kBegin + 3s));
  EXPECT_EQ(state.verdict(), Verdict::kHealthy);
  EXPECT_TRUE(state.Take(false, kBegin + 4s));
  EXPECT_EQ(state.verdict(), Verdict::kUnhealthy);
  EXPECT_FALSE(state.Take(false, kBegin + 5s)) << "nothing new";
  EXPECT_TRUE(state.Take(true, kBegin + 6s));
  EXPECT_EQ(state.changes(), 3U);
  EXPECT_EQ(state.runs(), 7U);
  EXPECT_EQ(state.failures(), 4U);
}

TEST(HealthStateTest, FailuresWithinTheStartPeriodDoNotCount) {
  HealthState state({.healthy_after = 1, .unhealthy_after = 1, .start_period = 10s}, kBegin);
  EXPECT_FALSE(state.Take(false, kBegin + 9s));
  EXPECT_EQ(state.verdict(), Verdict::kUnknown);
  EXPECT_TRUE(state.Take(true, kBegin + 9s)) << "a success does";
  EXPECT_TRUE(state.Take(false, kBegin + 10s));
  EXPECT_EQ(state.verdict(), Verdict::kUnhealthy);
}

}  // namespace
}  // namespace berth::agent
