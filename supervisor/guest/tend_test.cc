// SPDX-License-Identifier: Apache-2.0
#include "supervisor/guest/tend.h"

#include <gtest/gtest.h>

#include "protocol/wire/limits.h"

namespace berth::guest {
namespace {

constexpr int64_t kMs = 1'000'000;

TEST(BestOffsetTest, TheQuickestSampleCountsAndHalfOfItsWayIsTheError) {
  const ClockSample samples[] = {{.before_ns = 1000 * kMs,
                                  .guest_ns = 5600 * kMs,
                                  .after_ns = 1200 * kMs,
                                  .round_trip_ns = 200 * kMs},
                                 {.before_ns = 2000 * kMs,
                                  .guest_ns = 6501 * kMs,
                                  .after_ns = 2002 * kMs,
                                  .round_trip_ns = 2 * kMs},
                                 {.before_ns = 3000 * kMs,
                                  .guest_ns = 7600 * kMs,
                                  .after_ns = 3100 * kMs,
                                  .round_trip_ns = 100 * kMs}};
  const auto best = BestOffset(samples);
  ASSERT_TRUE(best);
  EXPECT_EQ(best->offset_ns, 4500 * kMs);
  EXPECT_EQ(best->error_ns, 1 * kMs);
}

TEST(BestOffsetTest, ASampleInWhichTheHostsClockWasSetIsNone) {
  const ClockSample stepped{
      .before_ns = 1000 * kMs, .guest_ns = 0, .after_ns = 9000 * kMs, .round_trip_ns = kMs};
  EXPECT_FALSE(BestOffset(std::span(&stepped, 1)));
  EXPECT_FALSE(BestOffset({}));
}

TEST(BestOffsetTest, AClaimBeyondAllClocksIsNone) {
  const int64_t now = 1'700'000'000'000'000'000;
  for (const int64_t claim : {INT64_MIN, INT64_MIN + now}) {
    const ClockSample sample{
        .before_ns = now, .guest_ns = claim, .after_ns = now, .round_trip_ns = 0};
    EXPECT_FALSE(BestOffset(std::span(&sample, 1))) << claim;
  }
  const ClockSample far{
      .before_ns = now, .guest_ns = INT64_MAX, .after_ns = now, .round_trip_ns = 0};
  EXPECT_EQ(BestOffset(std::span(&far, 1))->offset_ns, INT64_MAX - now);
}

TEST(CheckHealthReplyTest, BoundsAreKept) {
  v1::HealthReply good;
  good.add_checks()->set_name("web");
  EXPECT_TRUE(CheckHealthReply(good));
  const auto refused = [&](const std::function<void(v1::HealthReply&)>& spoil) {
    v1::HealthReply reply = good;
    spoil(reply);
    return !CheckHealthReply(reply);
  };
  EXPECT_TRUE(refused([](auto& r) { r.add_checks(); })) << "no name";
  EXPECT_TRUE(refused([](auto& r) {
    r.mutable_checks(0)->set_name(std::string(wire::kMaxHealthNameBytes + 1, 'x'));
  }));
  EXPECT_TRUE(refused([](auto& r) {
    r.mutable_checks(0)->set_result(std::string(wire::kMaxHealthTextBytes + 1, 'x'));
  }));
  EXPECT_TRUE(refused([](auto& r) {
    r.mutable_checks(0)->set_output(std::string(wire::kMaxHealthOutputBytes + 1, 'x'));
  }));
  EXPECT_TRUE(refused([](auto& r) { r.mutable_checks(0)->set_since_us(~uint64_t{0}); }));
  EXPECT_TRUE(refused([](auto& r) { r.set_monotonic_us(~uint64_t{0}); }));
  EXPECT_TRUE(refused([](auto& r) {
    for (int i = 0; i < wire::kMaxHealthRows; ++i) r.add_checks()->set_name("x");
  }));
}

}  // namespace
}  // namespace berth::guest
