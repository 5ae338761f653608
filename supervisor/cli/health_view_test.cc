// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/health_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

json Sample() {
  return {{"health", "unhealthy"},
          {"guest_ms", 301'000.0},
          {"fresh", true},
          {"checks",
           {{{"name", "agent"},
             {"state", "healthy"},
             {"source", "host"},
             {"result", "it answers in 0.8 ms"}},
            {{"name", "web"},
             {"state", "unhealthy"},
             {"source", "guest"},
             {"result", "status 503"},
             {"output", "line one\nline\x1b two\n"},
             {"since_ms", 1000.0},
             {"runs", 7U},
             {"failures", 3U}},
            {{"name", "disk"}, {"state", "healthy"}, {"output", "not shown"}}}}};
}

TEST(HealthViewTest, ARowForEachCheckAndTheOutputOfThoseThatFail) {
  const std::string text = RenderHealth(Sample(), 0);
  EXPECT_THAT(text, HasSubstr("CHECK"));
  EXPECT_THAT(text, testing::ContainsRegex("web +unhealthy +5 min +7 +3 +guest +status 503"));
  EXPECT_THAT(text, testing::ContainsRegex("agent +healthy +- +- +- +host"));
  EXPECT_THAT(text, HasSubstr("\nweb:\n  line one\n  line"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(text, Not(HasSubstr("not shown")));
  EXPECT_THAT(text, Not(HasSubstr("does not answer")));
}

TEST(HealthViewTest, WhatWasLastToldIsMarkedSo) {
  json health = Sample();
  health["fresh"] = false;
  EXPECT_THAT(RenderHealth(health, 0), HasSubstr("as it last told"));
}

TEST(HealthViewTest, StatesChangeOnlyWithTheStates) {
  json health = Sample();
  const std::string before = HealthStates(health);
  health["guest_ms"] = 99'000.0;
  health["checks"][0]["result"] = "it answers in 9 ms";
  EXPECT_EQ(HealthStates(health), before);
  health["checks"][1]["state"] = "healthy";
  EXPECT_NE(HealthStates(health), before);
}

TEST(HealthViewTest, AClockIsAheadOrBehindWithItsError) {
  EXPECT_EQ(RenderClock({{"offset_ms", -12.34}, {"error_ms", 0.44}}), "12.3 ms behind (± 0.4 ms)");
  EXPECT_EQ(RenderClock({{"offset_ms", 98127171154.9}, {"error_ms", 0.3}}),
            "98127171.155 s ahead (± 0.3 ms)");
  EXPECT_EQ(RenderClock({{"offset_ms", 5.0}, {"error_ms", 1.0}, {"stepped", true}}),
            "was 5.0 ms ahead (± 1.0 ms); set");
  EXPECT_EQ(RenderClock({{"offset_ms", 5.0}, {"error_ms", 1.0}, {"why", "EPERM"}}),
            "5.0 ms ahead (± 1.0 ms); not set: EPERM");
}

}  // namespace
}  // namespace berth::cli
