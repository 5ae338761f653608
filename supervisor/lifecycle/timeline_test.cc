// SPDX-License-Identifier: Apache-2.0
#include "supervisor/lifecycle/timeline.h"

#include <gtest/gtest.h>

namespace berth::lifecycle {
namespace {

constexpr int64_t kMs = 1'000'000;

GuestReady Ready(std::vector<BootPhase> phases, int64_t sent_us, int64_t received_ns) {
  GuestReady ready;
  ready.phases = std::move(phases);
  ready.sent_guest_us = sent_us;
  ready.received_monotonic_ns = received_ns;
  return ready;
}

std::vector<std::string> Names(const std::vector<Milestone>& timeline) {
  std::vector<std::string> names;
  for (const Milestone& each : timeline) names.push_back(each.name);
  return names;
}

TEST(Timeline, PutsTheGuestsClockOnTheHosts) {
  const auto timeline =
      MakeTimeline(Launched{1, 2, 3, 1000 * kMs},
                   Ready({{"start", 300'000}, {"modules", 350'000}}, 500'000, 1620 * kMs));
  ASSERT_EQ(Names(timeline),
            (std::vector<std::string>{"hypervisor exec", "kernel", "PID 1", "modules",
                                      "agent ready", "host saw Ready"}));
  EXPECT_DOUBLE_EQ(timeline[1].ms, 120);  // seen at 620 with an uptime of 500
  EXPECT_DOUBLE_EQ(timeline[2].ms, 420);
  EXPECT_DOUBLE_EQ(timeline[3].ms, 470);
  EXPECT_DOUBLE_EQ(timeline.back().ms, 620);
}

TEST(Timeline, NeverRunsBackwardsWhateverTheGuestClaims) {
  const auto timeline =
      MakeTimeline(Launched{1, 2, 3, 1000 * kMs},
                   Ready({{"a", 400'000}, {"b", 100'000}, {"late", 900'000}, {"negative", -5}},
                         700'000, 1500 * kMs));
  double last = 0;
  for (const Milestone& each : timeline) {
    EXPECT_GE(each.ms, last) << each.name;
    EXPECT_LE(each.ms, 500) << each.name;
    last = each.ms;
  }
  EXPECT_EQ(Names(timeline), (std::vector<std::string>{"hypervisor exec", "kernel", "PID 1", "b",
                                                       "agent ready", "host saw Ready"}));
}

}  // namespace
}  // namespace berth::lifecycle
