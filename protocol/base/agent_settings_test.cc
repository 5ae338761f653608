// SPDX-License-Identifier: Apache-2.0
#include "protocol/base/agent_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth {
namespace {

using testing::HasSubstr;

HealthCheck Http(std::string name) {
  HealthCheck check;
  check.name = std::move(name);
  check.kind = HealthKind::kHttp;
  check.target = "http://127.0.0.1:8080/healthz?deep=1";
  return check;
}

TEST(AgentSettingsTest, EveryFieldComesBackAsItWas) {
  AgentSettings settings;
  settings.host_sets_clock = false;
  HealthCheck exec;
  exec.name = "disk.root";
  exec.exec = {"/bin/sh", "-c", "test -w /\n# two=lines", ""};
  exec.interval_ms = 1500;
  exec.timeout_ms = 700;
  exec.start_period_ms = 12'000;
  exec.healthy_after = 2;
  exec.unhealthy_after = 7;
  HealthCheck http = Http("web");
  http.socket = "/run/web.sock";
  http.status_min = 204;
  http.status_max = 204;
  http.body = "\"ok\"=1\n";
  HealthCheck tcp;
  tcp.name = "ssh";
  tcp.kind = HealthKind::kTcp;
  tcp.target = "[::1]:22";
  HealthCheck file;
  file.name = "up";
  file.kind = HealthKind::kFile;
  file.target = "/run/up";
  settings.checks = {exec, http, tcp, file};
  const auto decoded = DecodeAgentSettings(EncodeAgentSettings(settings));
  ASSERT_TRUE(decoded) << decoded.error().Message();
  EXPECT_EQ(*decoded, settings);
  EXPECT_EQ(DecodeAgentSettings("").value(), AgentSettings{});
}

TEST(AgentSettingsTest, WhatIsNotSettingsIsRefused) {
  using std::string_literals::operator""s;
  const std::string good = EncodeAgentSettings({.checks = {Http("a")}});
  for (const std::string& bad :
       {"check=a"s, "check=a\0"s, "interval_ms=5\0"s, "check=a\0kind=ping\0"s, "\0"s,
        good + "unknown=1\0"s, good + "interval_ms=x\0"s, good + "interval_ms=0\0"s,
        good + EncodeAgentSettings({.checks = {Http("a")}}), good + "host_sets_clock=1\0"s,
        "check=../up\0kind=file\0target=/x\0"s, good + "status_max=199\0"s}) {
    EXPECT_FALSE(DecodeAgentSettings(bad)) << bad;
  }
  AgentSettings many;
  for (size_t i = 0; i <= kMaxHealthChecks; ++i) many.checks.push_back(Http(std::to_string(i)));
  EXPECT_FALSE(DecodeAgentSettings(EncodeAgentSettings(many)));
  many.checks.pop_back();
  EXPECT_TRUE(DecodeAgentSettings(EncodeAgentSettings(many)));
}

TEST(AgentSettingsTest, AddressesAreReadAndNamesAreNotLookedUp) {
  EXPECT_EQ(ParseTcpTarget("80").value().address, "127.0.0.1");
  EXPECT_EQ(ParseTcpTarget("localhost:80").value().address, "127.0.0.1");
  EXPECT_EQ(ParseTcpTarget("[fd00::2]:8080").value().address, "fd00::2");
  EXPECT_EQ(ParseTcpTarget("[fd00::2]:8080").value().port, 8080);
  for (const char* bad : {"", "0", "65536", "web:80", "127.0.0.1:", "127.0.0.1:http", ":-1"}) {
    EXPECT_FALSE(ParseTcpTarget(bad)) << bad;
  }
}

TEST(AgentSettingsTest, UrlsAreReadAndMayHoldNothingThatEndsALine) {
  const auto bare = ParseHttpTarget("http://127.0.0.1");
  ASSERT_TRUE(bare);
  EXPECT_EQ(bare->tcp.port, 80);
  EXPECT_EQ(bare->path, "/");
  const auto six = ParseHttpTarget("http://[::1]/a?b=c");
  ASSERT_TRUE(six);
  EXPECT_EQ(six->tcp.address, "::1");
  EXPECT_EQ(six->tcp.port, 80);
  EXPECT_EQ(six->host, "[::1]");
  EXPECT_EQ(six->path, "/a?b=c");
  for (const char* bad : {"https://127.0.0.1/", "http://", "http:///x", "http://web/",
                          "http://1.2.3.4/a b", "http://1.2.3.4/\r\nX: y", "http://1.2.3.4/#a"}) {
    EXPECT_FALSE(ParseHttpTarget(bad)) << bad;
  }
}

TEST(AgentSettingsTest, AStatusIsANumberOrARange) {
  HealthCheck check;
  ASSERT_TRUE(ParseHttpStatus("204", check));
  EXPECT_EQ(check.status_min, 204);
  EXPECT_EQ(check.status_max, 204);
  ASSERT_TRUE(ParseHttpStatus("200-299", check));
  EXPECT_EQ(check.status_max, 299);
  for (const char* bad : {"", "ok", "99", "600", "300-200", "200-", "-299"}) {
    EXPECT_FALSE(ParseHttpStatus(bad, check)) << bad;
  }
}

TEST(AgentSettingsTest, ACheckThatIsNoneSaysWhy) {
  const auto why = [](const HealthCheck& check) {
    const auto good = Validate(check);
    return good ? "" : good.error().detail;
  };
  HealthCheck check = Http("agent");
  EXPECT_THAT(why(check), HasSubstr("not a name"));
  check = Http("web");
  EXPECT_EQ(why(check), "");
  check.socket = "run/x";
  EXPECT_THAT(why(check), HasSubstr("socket"));
  check = Http("web");
  check.timeout_ms = 9;
  EXPECT_THAT(why(check), HasSubstr("10 ms"));
  check = Http("web");
  check.unhealthy_after = 0;
  EXPECT_THAT(why(check), HasSubstr("1000"));
  HealthCheck exec;
  exec.name = "x";
  EXPECT_THAT(why(exec), HasSubstr("no program"));
  exec.exec.assign(kMaxHealthArgs + 1, "a");
  EXPECT_THAT(why(exec), HasSubstr("exec is over"));
}

}  // namespace
}  // namespace berth
