// SPDX-License-Identifier: Apache-2.0
#include "protocol/base/log.h"

#include <gtest/gtest.h>

namespace berth {
namespace {

using std::chrono_literals::operator""h;

TEST(Log, AHostileTextStaysOneLineWithoutControlCharacters) {
  testing::internal::CaptureStderr();
  Log(LogLevel::kWarning, "berth-x", "a\nberth-init: fatal: forged\x1b[2J");
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "berth-x: warning: a?berth-init: fatal: forged?[2J\n");
}

TEST(LogLimiter, LetsABurstThroughAndCountsTheRest) {
  LogLimiter limiter(2, 1h);
  EXPECT_TRUE(limiter.Allow());
  EXPECT_TRUE(limiter.Allow());
  EXPECT_FALSE(limiter.Allow());
  EXPECT_FALSE(limiter.Allow());
  EXPECT_EQ(limiter.TakeSuppressed(), 2);
  EXPECT_EQ(limiter.TakeSuppressed(), 0);
}

}  // namespace
}  // namespace berth
