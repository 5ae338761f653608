// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/service_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

json Answer() {
  return json::parse(R"({"guest_ms": 10000, "services": [
    {"name": "db", "state": "ready", "health": "healthy", "pid": 40, "restarts": 0, "main": false,
     "wanted_ms": 200, "start_ms": 210, "ready_ms": 600, "first_ready_ms": 600, "waits_for": "",
     "detail": "", "last_exit": null},
    {"name": "web", "state": "ready", "health": "unknown", "pid": 41, "restarts": 2, "main": true,
     "wanted_ms": 600, "start_ms": 601, "ready_ms": 812, "first_ready_ms": 812, "waits_for": "db",
     "detail": "a\u001b[2J", "last_exit": {"signal": 9}},
    {"name": "job", "state": "done", "health": "unknown", "pid": 0, "restarts": 0,
     "wanted_ms": 190, "start_ms": 190, "ready_ms": 240, "first_ready_ms": 240, "waits_for": "",
     "last_exit": {"code": 0}},
    {"name": "bad", "state": "backoff", "health": "unknown", "pid": 0, "restarts": 7,
     "restart_ms": 11500, "first_ready_ms": null, "last_exit": {"code": 3}}]})");
}

json Boot() {
  return json::parse(R"({"phases": [
    {"name": "hypervisor exec", "ms": 0, "guest_clock": false},
    {"name": "kernel", "ms": 120, "guest_clock": true},
    {"name": "host saw Ready", "ms": 620.5, "guest_clock": false}]})");
}

TEST(RenderServices, SaysWhatEachDoesAndSinceWhen) {
  EXPECT_EQ(RenderServices(Answer(), 0),
            "NAME  STATE         HEALTH   PID  RESTARTS  SINCE   LAST-EXIT  DETAIL\n"
            "db    ready         healthy  40   0         9 s     -\n"
            "web   ready (main)  -        41   2         9 s     SIGKILL    a?[2J\n"
            "job   done          -        -    0         -       0\n"
            "bad   backoff       -        -    7         in 1 s  3\n");
}

TEST(RenderServices, ShowsAGuestsNumbersAsItSaysThem) {
  const json answer = {{"guest_ms", 1},
                       {"services",
                        {{{"name", "a"}, {"last_exit", {{"code", 4294967295U}}}},
                         {{"name", "b"}, {"last_exit", {{"signal", 4294967295U}}}}}}};
  EXPECT_THAT(RenderServices(answer, 0), HasSubstr(" 4294967295"));
  EXPECT_THAT(RenderServices(answer, 0), HasSubstr("signal 4294967295"));
}

TEST(WhyNoServices, IsTheStateOrTheAgentsLoss) {
  // As compute.vm.status answers (supervisor/daemon/render_vm.cc).
  json vm = {{"state", "Running"},
             {"agent", "up"},
             {"instance", {{"agent", {{"state", "up"}, {"why", ""}}}}}};
  EXPECT_EQ(WhyNoServices(vm), "");
  vm["agent"] = "lost";
  vm["instance"]["agent"] = {{"state", "lost"}, {"why", "ECONNRESET"}};
  EXPECT_EQ(WhyNoServices(vm), "'s agent is lost: ECONNRESET");
  vm["paused"] = true;
  EXPECT_THAT(WhyNoServices(vm), HasSubstr("paused"));
  vm["state"] = "Stopped";
  EXPECT_THAT(WhyNoServices(vm), HasSubstr("Stopped"));
}

TEST(BootReport, BlamesTheLongestFirstOnBothClocks) {
  const json answer = Answer();
  const json report = BootReport(Boot(), &answer, {});
  ASSERT_EQ(report["services"].size(), 3U) << "one that was never ready took no time of the boot";
  EXPECT_EQ(report["services"][0]["name"], "db");
  EXPECT_EQ(report["services"][0]["took_ms"], 400);
  EXPECT_EQ(report["services"][1]["name"], "web");
  EXPECT_EQ(report["services"][1]["at_ms"], 812);
  EXPECT_EQ(report["services"][1]["exec_ms"], 932);
  EXPECT_EQ(report["kernel_ms"], 120);
}

TEST(BootReport, TheCriticalChainGoesFromTheLastToWhatItWaitedFor) {
  const json answer = Answer();
  const json chain = BootReport(Boot(), &answer, {})["critical_chain"];
  ASSERT_EQ(chain.size(), 2U);
  EXPECT_EQ(chain[0]["name"], "web");
  EXPECT_EQ(chain[1]["name"], "db");
}

TEST(BootReport, AChainThatIsACircleEnds) {
  json answer = Answer();
  answer["services"][0]["waits_for"] = "web";
  EXPECT_EQ(BootReport(Boot(), &answer, {})["critical_chain"].size(), 3U);
}

TEST(BootReport, OneThatWasStartedAnewIsNotBlamedForIt) {
  json answer = Answer();
  answer["services"][1]["wanted_ms"] = 5000;
  const json report = BootReport(Boot(), &answer, {});
  EXPECT_EQ(report["services"][2]["name"], "web");
  EXPECT_EQ(report["services"][2]["took_ms"], 0);
}

TEST(RenderBoot, DrawsPhasesBlameAndChain) {
  const json answer = Answer();
  EXPECT_EQ(RenderBoot(BootReport(Boot(), &answer, {}), 0),
            "Phases, since the hypervisor's exec:\n\n"
            "AT          TOOK    WHAT\n"
            "    0.0 ms   120.0  hypervisor exec\n"
            "  120.0 ms   500.5  kernel\n"
            "  620.5 ms          host saw Ready\n\n"
            "Services by the time that each took itself; ready since the guest's kernel started "
            "(120 ms after the hypervisor's exec):\n\n"
            "TOOK        READY AT    SINCE EXEC  SERVICE\n"
            "    400 ms      600 ms      720 ms  db\n"
            "    212 ms      812 ms      932 ms  web\n"
            "     50 ms      240 ms      360 ms  job\n\n"
            "Critical chain: @ when it was ready, since the guest's kernel started (120 ms after "
            "the hypervisor's exec); + the time it took itself:\n\n"
            "web @812ms +212ms\n"
            "└─db @600ms +400ms\n");
}

TEST(RenderBoot, WithoutServicesSaysWhy) {
  const std::string text = RenderBoot(BootReport(Boot(), nullptr, "vm is Stopped"), 0);
  EXPECT_THAT(text, HasSubstr("No services: vm is Stopped"));
  EXPECT_THAT(text, Not(HasSubstr("Critical")));
}

}  // namespace
}  // namespace berth::cli
