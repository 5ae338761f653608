// SPDX-License-Identifier: Apache-2.0
#include "supervisor/lifecycle/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::lifecycle {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(HealthTest, ClaimsBecomeRowsThatArePrintableAndOfOneNameEach) {
  v1::HealthReply reply;
  for (const auto state : {v1::HealthReply::Check::UNHEALTHY, v1::HealthReply::Check::HEALTHY}) {
    auto& check = *reply.add_checks();
    check.set_name("w\x1b[2Jeb");
    check.set_state(state);
    check.set_result("a\nb");
  }
  reply.add_checks()->set_name("later");
  reply.mutable_checks(2)->set_state(static_cast<v1::HealthReply::Check::State>(77));
  EXPECT_THAT(RowsOf(reply), ElementsAre(HealthRow{"later", HealthVerdict::kUnknown, ""},
                                         HealthRow{"w?[2Jeb", HealthVerdict::kHealthy, "a?b"}));
}

TEST(HealthTest, NewsAreWhatIsOtherThanBefore) {
  const std::vector<HealthRow> before = {{"a", HealthVerdict::kHealthy, "x"},
                                         {"b", HealthVerdict::kUnhealthy, "y"},
                                         {"c", HealthVerdict::kHealthy, ""}};
  const std::vector<HealthRow> after = {{"a", HealthVerdict::kUnhealthy, "status 503"},
                                        {"b", HealthVerdict::kUnhealthy, "another reason"},
                                        {"d", HealthVerdict::kHealthy, ""},
                                        {"e", HealthVerdict::kUnknown, ""}};
  EXPECT_THAT(HealthNews(before, after), ElementsAre("a is unhealthy: status 503", "d is healthy",
                                                     "c is not looked at any more"));
  EXPECT_THAT(HealthNews(after, after), IsEmpty());
}

TEST(HealthTest, TheWorstRowIsTheVerdictOfAll) {
  EXPECT_EQ(Overall({}), HealthVerdict::kHealthy);
  EXPECT_EQ(Overall({{"a", HealthVerdict::kHealthy, ""}}), HealthVerdict::kHealthy);
  EXPECT_EQ(Overall({{"a", HealthVerdict::kHealthy, ""}, {"b", HealthVerdict::kUnknown, ""}}),
            HealthVerdict::kUnknown);
  EXPECT_EQ(Overall({{"a", HealthVerdict::kUnknown, ""}, {"b", HealthVerdict::kUnhealthy, ""}}),
            HealthVerdict::kUnhealthy);
}

TEST(HealthTest, AClockThatDriftsIsLookedAtSooner) {
  using std::chrono::seconds;
  EXPECT_EQ(NextClockLook(kSlowestClockLook, false), kSlowestClockLook);
  EXPECT_EQ(NextClockLook(kSlowestClockLook, true), seconds(150));
  EXPECT_EQ(NextClockLook(seconds(150), false), seconds(300));
  EXPECT_EQ(NextClockLook(seconds(20), true), kFastestClockLook);
}

TEST(HealthTest, AClockReportSaysOffsetErrorAndWhatWasDone) {
  EXPECT_EQ(Explain({.offset_ns = -3600'250'000'000, .error_ns = 400'000, .stepped = true}),
            "the guest's clock was 3600.250 s behind (± 0.4 ms); it was set");
  EXPECT_EQ(Explain({.offset_ns = 1'500'000'000, .error_ns = 1'000'000, .why = "EPERM"}),
            "the guest's clock is 1.500 s ahead (± 1.0 ms); it was not set: EPERM");
}

}  // namespace
}  // namespace berth::lifecycle
