// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/kvm_probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "supervisor/hypervisor/tsc.h"

namespace berth {
namespace {

using std::chrono_literals::operator""ms;
using testing::HasSubstr;

TEST(KvmProbe, NoDeviceIsAbsent) {
  const KvmProbe probe = ProbeKvm(kKvmProbeTimeout, "/nonexistent/kvm");
  EXPECT_EQ(probe.state, KvmState::kAbsent);
  EXPECT_THAT(probe.text, HasSubstr("ENOENT"));
  EXPECT_FALSE(probe.hint.empty());
}

TEST(KvmProbe, AnotherDeviceInItsPlaceIsBroken) {
  const KvmProbe probe = ProbeKvm(kKvmProbeTimeout, "/dev/null");
  EXPECT_EQ(probe.state, KvmState::kBroken);
  EXPECT_THAT(probe.text, HasSubstr("KVM_GET_API_VERSION"));
}

// Whatever this machine has: the answer comes in time, and has numbers where a guest ran.
TEST(KvmProbe, AnswersWithinItsTimeout) {
  const auto begin = Deadline::Clock::now();
  const KvmProbe probe = ProbeKvm(kKvmProbeTimeout);
  EXPECT_LT(Deadline::Clock::now() - begin, kKvmProbeTimeout + 500ms);
  EXPECT_FALSE(probe.text.empty());
  if (probe.state == KvmState::kUsable) {
    EXPECT_GT(probe.instructions, 10'000U);
    EXPECT_TRUE(probe.hint.empty());
  } else {
    EXPECT_FALSE(probe.hint.empty());
  }
  RecordProperty("probe", probe.text);
}

TEST(ChooseAccel, FollowsTheProbe) {
  KvmProbe probe;
  for (const KvmState state : {KvmState::kUsable, KvmState::kAbsent, KvmState::kForbidden,
                               KvmState::kTooSlow, KvmState::kBroken}) {
    probe.state = state;
    probe.text = "why";
    const bool usable = state == KvmState::kUsable;
    EXPECT_EQ(ChooseAccel(Accel::kTcg, probe)->accel, Accel::kTcg);
    EXPECT_EQ(ChooseAccel(Accel::kAuto, probe)->accel, usable ? Accel::kKvm : Accel::kTcg);
    EXPECT_EQ(ChooseAccel(Accel::kAuto, probe)->reason, "why");
    const auto asked = ChooseAccel(Accel::kKvm, probe);
    EXPECT_EQ(asked.has_value(), usable) << Name(state);
    if (!usable) EXPECT_THAT(asked.error().detail, HasSubstr(std::string(Name(state))));
  }
}

TEST(Tsc, MeasuresTheSameTwice) {
  const auto first = static_cast<double>(MeasureTscKhz());
  const auto second = static_cast<double>(MeasureTscKhz());
#ifdef __x86_64__
  EXPECT_GT(first, 100'000);
#endif
  EXPECT_NEAR(first, second, first / 1000);
}

}  // namespace
}  // namespace berth
