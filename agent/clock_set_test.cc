// SPDX-License-Identifier: Apache-2.0
#include "agent/clock_set.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/wire/limits.h"

namespace berth::agent {
namespace {

using testing::HasSubstr;

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kNow = 1'700'000'000 * kSecond;

class ScriptedClock : public RealtimeClock {
 public:
  int64_t NowNs() const override { return now; }
  Result<> Set(int64_t ns) override {
    if (refused != 0) return Fail("clock-settime", refused, "");
    now = ns;
    return {};
  }
  int64_t now = kNow;
  int refused = 0;
};

v1::ClockStep By(int64_t ns) {
  v1::ClockStep step;
  step.set_delta_ns(ns);
  return step;
}

TEST(StepClockTest, GoesByTheDeltaFromWhereItIs) {
  ScriptedClock clock;
  EXPECT_TRUE(StepClock(clock, By(-3600 * kSecond), false).done());
  EXPECT_EQ(clock.now, kNow - 3600 * kSecond);
  EXPECT_TRUE(StepClock(clock, By(3600 * kSecond + 5), false).done());
  EXPECT_EQ(clock.now, kNow + 5);
}

TEST(StepClockTest, AnImpossibleTimeIsRefused) {
  ScriptedClock clock;
  for (const int64_t delta : {INT64_MAX, INT64_MIN, -kNow, 6'000'000'000 * kSecond}) {
    const auto answer = StepClock(clock, By(delta), false);
    EXPECT_FALSE(answer.done());
    EXPECT_THAT(answer.why(), HasSubstr("2000 to 2200"));
  }
  EXPECT_EQ(clock.now, kNow);
}

TEST(StepClockTest, AGuestThatKeepsItsOwnTimeIsLeftAlone) {
  ScriptedClock clock;
  const auto answer = StepClock(clock, By(kSecond), true);
  EXPECT_FALSE(answer.done());
  EXPECT_THAT(answer.why(), HasSubstr("sync = false"));
  EXPECT_EQ(clock.now, kNow);
}

TEST(StepClockTest, WhatTheKernelRefusesIsSaid) {
  ScriptedClock clock;
  clock.refused = EPERM;
  EXPECT_THAT(StepClock(clock, By(kSecond), false).why(), HasSubstr("EPERM"));
}

TEST(AddEntropyTest, TheSeedIsBoundedAndTheStepThatFailsIsNamed) {
  for (const size_t bytes : {size_t{0}, wire::kMinReseedBytes - 1, wire::kMaxReseedBytes + 1}) {
    const auto added = AddEntropy("/dev/null", std::string(bytes, 'x'));
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().errnum, EINVAL) << bytes;
  }
  const auto added = AddEntropy("/dev/null", std::string(wire::kMinReseedBytes, 'x'));
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().errnum, ENOTTY);
  EXPECT_EQ(added.error().detail, "RNDADDENTROPY");
  const auto missing = AddEntropy("/no/such/device", std::string(64, 'x'));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().errnum, ENOENT);
}

}  // namespace
}  // namespace berth::agent
