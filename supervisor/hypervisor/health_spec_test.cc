// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/health_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "supervisor/hypervisor/vm_spec.h"

namespace berth {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

struct Read {
  std::vector<HealthCheck> checks;
  FieldMistakes mistakes;

  std::vector<std::string> Fields() const {
    std::vector<std::string> fields;
    for (const FieldMistake& each : mistakes) fields.push_back(each.field);
    return fields;
  }
};

Read ReadHealth(const json& object) {
  Read read;
  read.checks = HealthFromJson(object, read.mistakes);
  return read;
}

// Of one check that is called "c".
Read ReadCheck(const char* text) { return ReadHealth({{"c", json::parse(text)}}); }

TEST(HealthSpecTest, EachKindNeedsNoMoreThanWhatItLooksAt) {
  const Read read = ReadHealth(json::parse(R"({
    "a": {"exec": ["/bin/check", "-q"]},
    "b": {"tcp": "22"},
    "c": {"http": "http://127.0.0.1/up"},
    "d": {"file": "/run/up"}})"));
  ASSERT_THAT(read.mistakes, IsEmpty());
  HealthCheck exec;
  exec.name = "a";
  exec.exec = {"/bin/check", "-q"};
  HealthCheck tcp;
  tcp.name = "b";
  tcp.kind = HealthKind::kTcp;
  tcp.target = "22";
  HealthCheck http;
  http.name = "c";
  http.kind = HealthKind::kHttp;
  http.target = "http://127.0.0.1/up";
  HealthCheck file;
  file.name = "d";
  file.kind = HealthKind::kFile;
  file.target = "/run/up";
  EXPECT_THAT(read.checks, UnorderedElementsAre(exec, tcp, http, file));
}

TEST(HealthSpecTest, EveryKeyIsReadAndSurvivesItsJson) {
  const Read read = ReadCheck(R"({
    "http": "http://127.0.0.1:8080/up", "socket": "/run/web.sock", "status": "204", "body": "ok",
    "interval_ms": 1500, "timeout_ms": 700, "start_period_ms": 12000, "healthy_after": 2,
    "unhealthy_after": 7})");
  ASSERT_THAT(read.mistakes, IsEmpty());
  HealthCheck check;
  check.name = "c";
  check.kind = HealthKind::kHttp;
  check.target = "http://127.0.0.1:8080/up";
  check.socket = "/run/web.sock";
  check.status_min = 204;
  check.status_max = 204;
  check.body = "ok";
  check.interval_ms = 1500;
  check.timeout_ms = 700;
  check.start_period_ms = 12'000;
  check.healthy_after = 2;
  check.unhealthy_after = 7;
  EXPECT_THAT(read.checks, ElementsAre(check));
  const Read again = ReadHealth(ToJson(read.checks));
  EXPECT_THAT(again.mistakes, IsEmpty());
  EXPECT_EQ(again.checks, read.checks);
}

TEST(HealthSpecTest, ACheckLooksAtOneThing) {
  for (const char* text : {"{}", R"({"tcp": "22", "file": "/up"})",
                           R"({"exec": ["/bin/true"], "http": "http://127.0.0.1/"})"}) {
    const Read read = ReadCheck(text);
    EXPECT_THAT(read.Fields(), ElementsAre("health.c.exec")) << text;
    EXPECT_THAT(read.checks, IsEmpty()) << text;
  }
}

TEST(HealthSpecTest, EveryMistakeHasItsField) {
  const Read read = ReadCheck(R"({
    "exec": ["/bin/true", 7], "status": "2xx", "body": "a\u0000b", "interval_ms": 9, "timeout_ms": "5s",
    "start_period_ms": 86400001, "healthy_after": 0, "unhealthy_after": 1001, "intervall_ms": 10})");
  EXPECT_THAT(read.Fields(),
              UnorderedElementsAre("health.c.exec", "health.c.status", "health.c.body",
                                   "health.c.interval_ms", "health.c.timeout_ms",
                                   "health.c.start_period_ms", "health.c.healthy_after",
                                   "health.c.unhealthy_after", "health.c.intervall_ms"));
  EXPECT_THAT(read.checks, IsEmpty());
}

TEST(HealthSpecTest, WhatTheAgentWouldRefuseIsRefusedHere) {
  for (const char* text :
       {R"({"exec": []})", R"({"exec": [""]})", R"({"tcp": "localhost"})", R"({"tcp": "db:5432"})",
        R"({"http": "https://127.0.0.1/"})", R"({"http": "http://web/"})", R"({"file": "run/up"})",
        R"({"http": "http://127.0.0.1/", "socket": "web.sock"})"}) {
    const Read read = ReadCheck(text);
    EXPECT_THAT(read.Fields(), ElementsAre("health.c")) << text;
    EXPECT_THAT(read.checks, IsEmpty()) << text;
  }
}

TEST(HealthSpecTest, ANameThatIsNoneStandsInNoMessage) {
  for (const char* name : {"", "agent", "../up", ".up", "a b", "a\n", "\xc3\xa4"}) {
    const Read read = ReadHealth({{name, {{"tcp", "22"}}}});
    EXPECT_THAT(read.Fields(), ElementsAre("health")) << name;
    EXPECT_THAT(read.checks, IsEmpty()) << name;
  }
  EXPECT_THAT(ReadHealth({{"a", 7}}).Fields(), ElementsAre("health.a"));
}

TEST(HealthSpecTest, ThereAreNoMoreChecksThanTheAgentTakes) {
  json object = json::object();
  for (size_t i = 0; i < kMaxHealthChecks; ++i) object["c" + std::to_string(i)] = {{"tcp", "22"}};
  EXPECT_EQ(ReadHealth(object).checks.size(), kMaxHealthChecks);
  object["more"] = {{"tcp", "22"}};
  const Read read = ReadHealth(object);
  EXPECT_THAT(read.Fields(), ElementsAre("health"));
  EXPECT_THAT(read.checks, IsEmpty());
}

TEST(HealthSpecTest, ChecksAndTheirMistakesArePartsOfAVmSpec) {
  const auto spec = ParseVmSpec(
      R"({"name": "a", "kernel": "/k", "health": {"up": {"file": "/run/up", "timeout_ms": 50}}})");
  ASSERT_TRUE(spec.has_value()) << Join(spec.error());
  ASSERT_EQ(spec->health.size(), 1U);
  EXPECT_EQ(spec->health[0].timeout_ms, 50);
  EXPECT_EQ(ParseVmSpec(ToJson(*spec).dump()).value(), *spec);

  const auto wrong = ParseVmSpec(R"({"name": "a", "kernel": "/k", "health": {"up": {"file": 1}}})");
  ASSERT_FALSE(wrong.has_value());
  EXPECT_THAT(wrong.error(),
              testing::Contains(testing::Field(&FieldMistake::field, "health.up.file")));
  EXPECT_FALSE(ParseVmSpec(R"({"name": "a", "kernel": "/k", "health": []})").has_value());
}

}  // namespace
}  // namespace berth
