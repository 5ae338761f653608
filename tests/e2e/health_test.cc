// SPDX-License-Identifier: Apache-2.0
//
// Health checks in a booted guest, those of its init.toml and those of its VM's spec, and its clock
// as the host keeps it. tests/e2e/images/health/init.toml is the machine.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/e2e/host.h"

namespace berth::e2e {
namespace {

using nlohmann::json;

class HealthVm : public testing::Test {
 protected:
  json Look() {
    const Outcome outcome = host_.Berth({"health", "vm", "--json"});
    json health = json::parse(outcome.out, nullptr, false);
    EXPECT_TRUE(health.is_object()) << outcome;
    return health.is_object() ? health : json::object();
  }
  // Of an answer that the guest gave now: while a fork bomb goes off there may be none.
  json Row(const std::string& name) {
    json health = Look();
    const auto deadline = Deadline::In(kCommandTimeout);
    while (!health.value("fresh", false) && !deadline.Passed()) health = Look();
    for (const json& row : health.value("checks", json::array())) {
      if (row.value("name", "") == name) return row;
    }
    return json::object();
  }
  json Gets(const std::string& name, const std::string& state) {
    const auto deadline = Deadline::In(std::chrono::seconds(60));
    json row;
    while (!deadline.Passed()) {
      row = Row(name);
      if (row.value("state", "") == state) return row;
    }
    ADD_FAILURE() << name << " is not " << state << ": " << row.dump();
    return row;
  }
  Outcome Sh(const std::string& script) {
    return host_.Berth({"exec", "vm", "--", "sh", "-c", script});
  }
  bool IsTrueSoon(const std::string& script) {
    const auto deadline = Deadline::In(std::chrono::seconds(30));
    while (!deadline.Passed()) {
      if (Sh(script).code == 0) return true;
    }
    return false;
  }

  Host host_;
};

TEST_F(HealthVm, ChecksOfImageAndSpecRunKillWhatHangsAndPushTheirChanges) {
  const std::string spec = host_.dir() + "/health.json";
  // A bomb in its cgroup: what it forks while it is killed dies too.
  std::ofstream(spec) << json{{"bomb",
                               {{"exec", {"/bin/sh", "-c", "f() { f & f & }; f; sleep 4712"}},
                                {"interval_ms", 3'600'000},
                                {"timeout_ms", 2000},
                                {"unhealthy_after", 1}}}}
                             .dump();
  host_.Up("vm", "health", {"--health", spec});
  const json http = Gets("http", "healthy");
  EXPECT_EQ(http.value("result", ""), "status 200");
  EXPECT_EQ(http.value("source", ""), "guest");
  EXPECT_EQ(Gets("tcp", "healthy").value("result", ""), "it accepts");
  EXPECT_EQ(Gets("file", "healthy").value("result", ""), "it is there");
  EXPECT_EQ(Gets("service:web", "healthy").value("source", ""), "service");
  EXPECT_EQ(Row("agent").value("state", ""), "healthy");

  const json hangs = Gets("hangs", "unhealthy");
  EXPECT_EQ(hangs.value("result", ""), "timed out after 2000 ms; killed");
  EXPECT_EQ(hangs.value("output", ""), "before\n");
  EXPECT_EQ(hangs.value("runs", 0), 1);
  EXPECT_GE(Row("http").value("runs", 0), 2) << "it went on while the other hung";
  const json bomb = Gets("bomb", "unhealthy");
  EXPECT_EQ(bomb.value("source", ""), "spec");
  EXPECT_TRUE(IsTrueSoon("! pidof sleep >/dev/null"));
  for (const char* name : {"hangs", "bomb"}) {
    EXPECT_TRUE(IsTrueSoon("grep -q 'populated 0' /sys/fs/cgroup/berth.checks/" +
                           std::string(name) + "/cgroup.events"))
        << name;
  }

  const Outcome table = host_.Berth({"health", "vm"});
  EXPECT_EQ(table.code, 1) << table;
  EXPECT_TRUE(table.out.contains("\nhangs:\n  before\n")) << table;
  EXPECT_TRUE(host_.Berth({"ps"}).out.contains("unhealthy"));

  // A change is pushed: to the event log and to who watches.
  const auto watch = host_.StartBerth({"health", "vm", "--watch"});
  ASSERT_TRUE(watch->WaitForOutput("status 200", Deadline::In(kCommandTimeout)));
  const auto events = host_.StartBerth({"events", "-f", "vm"});
  ASSERT_EQ(Sh("echo gone >/run/www/index.html").code, 0);
  EXPECT_TRUE(events->WaitForOutput("http is unhealthy: status 200, and the body lacks \"well\"",
                                    Deadline::In(kCommandTimeout)))
      << events->so_far();
  EXPECT_TRUE(watch->WaitForOutput("the body lacks \"well\"", Deadline::In(kCommandTimeout)))
      << watch->so_far();
  EXPECT_EQ(Row("http").value("output", ""), "gone\n");
}

TEST_F(HealthVm, ChecksOfTheHostsConfigurationCountFromTheFirstBootOn) {
  const std::string config = host_.dir() + "/config.toml";
  std::ofstream(config) << "[health.late]\nfile = \"/run/late\"\ninterval = \"100ms\"\n"
                           "unhealthy_after = 1\n";
  host_.Up("vm", "demo", {"--guest-config", config});
  EXPECT_EQ(Gets("late", "unhealthy").value("source", ""), "guest");
  const auto waiting = host_.StartBerth({"wait", "vm", "--healthy", "--timeout", "60s"});
  EXPECT_EQ(Sh("touch /run/late").code, 0);
  const Outcome waited = waiting->Wait(Deadline::In(kCommandTimeout));
  EXPECT_EQ(waited.code, 0) << waited;
  EXPECT_EQ(host_.Berth({"health", "vm", "-q"}).out, "healthy\n");
  EXPECT_EQ(host_.Berth({"health", "vm"}).code, 0);
  // An agent that is started anew has them still.
  Sh("kill -9 $(pidof berth-agent)");
  EXPECT_EQ(Gets("late", "healthy").value("source", ""), "guest");
}

TEST_F(HealthVm, TheClockIsSetWhenTheAgentComesBackAndAfterAPause) {
  host_.Up("vm");
  const auto offset_ms = [&] {
    const Outcome look = host_.Berth({"clock", "vm", "--json"});
    const json clock = json::parse(look.out, nullptr, false);
    EXPECT_TRUE(clock.is_object()) << look;
    if (!clock.is_object()) return 1e18;
    EXPECT_GT(clock.value("error_ms", 0.0), 0.0);
    return clock.value("offset_ms", 1e18);
  };
  // What berthd itself last found, and set.
  const auto reported_ms = [&] {
    const json status = json::parse(host_.Berth({"status", "vm", "--json"}).out, nullptr, false);
    return status.value(json::json_pointer("/instance/clock/offset_ms"), 0.0);
  };
  const auto events = host_.StartBerth({"events", "-f", "vm"});
  // Where berthd's look at boot comes late it sets this right, once.
  const auto set_back_by = Deadline::In(kCommandTimeout);
  do {
    ASSERT_EQ(Sh("date -s @1500000000").code, 0);
  } while (offset_ms() > -1e9 && !set_back_by.Passed());
  EXPECT_LT(offset_ms(), -1e9);
  Sh("kill -9 $(pidof berth-agent)");
  // The clock may have been set at boot too, by less: that event is none of this.
  const auto set_by_then = Deadline::In(kCommandTimeout);
  while (reported_ms() > -1e9) ASSERT_FALSE(set_by_then.Passed()) << reported_ms();
  EXPECT_TRUE(events->WaitForOutput("; it was set", Deadline::In(kCommandTimeout)))
      << events->so_far();
  EXPECT_LT(std::abs(offset_ms()), 1000);

  // By hand.
  ASSERT_EQ(Sh("date -s @1500000000").code, 0);
  const Outcome set = host_.Berth({"clock", "vm", "--set"});
  EXPECT_EQ(set.code, 0) << set;
  EXPECT_TRUE(set.out.contains("behind") && set.out.contains("; set")) << set;
  EXPECT_LT(std::abs(offset_ms()), 1000);

  // A machine that stands still loses the time that passes: here is nothing else to wait for.
  ASSERT_EQ(host_.Berth({"pause", "vm"}).code, 0);
  RunCommand({"sleep", "2"});
  ASSERT_EQ(host_.Berth({"resume", "vm"}).code, 0);
  const auto deadline = Deadline::In(kCommandTimeout);
  double lost_ms = 0;
  while (lost_ms > -1900 || lost_ms < -1e6) {
    ASSERT_FALSE(deadline.Passed()) << lost_ms;
    lost_ms = reported_ms();
  }
  EXPECT_LT(std::abs(offset_ms()), 1000);
  EXPECT_FALSE(host_.daemon().so_far().err.contains("reseed")) << host_.daemon().so_far();
}

TEST_F(HealthVm, AGuestThatKeepsItsOwnTimeIsLeftAlone) {
  const std::string config = host_.dir() + "/config.toml";
  std::ofstream(config) << "[time]\nsync = false\n";
  host_.Up("vm", "demo", {"--guest-config", config});
  // The agent knows once PID 1 has taken the configuration.
  const auto deadline = Deadline::In(kCommandTimeout);
  while (!host_.Berth({"clock", "vm", "--json"}).out.contains("\"own_time\":true")) {
    ASSERT_FALSE(deadline.Passed());
  }
  ASSERT_EQ(Sh("date -s @1500000000").code, 0);
  const Outcome set = host_.Berth({"clock", "vm", "--set"});
  EXPECT_EQ(set.code, 0) << set;
  EXPECT_TRUE(set.out.contains("not set: its init.toml keeps the host from setting the clock"))
      << set;
  EXPECT_TRUE(Sh("date +%s").out.starts_with("15000"));
}

}  // namespace
}  // namespace berth::e2e
