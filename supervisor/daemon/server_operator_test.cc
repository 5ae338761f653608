// SPDX-License-Identifier: Apache-2.0
//
// Health and clock over the API, with a scripted guest.
#include "supervisor/daemon/server_fixture.h"

namespace berth::daemon {
namespace {

using lifecycle::HealthVerdict;

class OperatorApi : public ServerTest {
 protected:
  std::shared_ptr<FakeInstance> Guest() { return host_.instances.at("vm").lock(); }
  void Answer(const v1::HealthReply& reply) {
    OnLoop([&] { *Guest()->call_outcome->mutable_health_reply() = reply; });
  }
  // Entries of one kind, once there are `count`.
  std::vector<std::string> Events(TestClient& client, const std::string& kind, size_t count) {
    std::vector<std::string> found;
    std::string cursor;
    while (found.size() < count) {
      json params = {{"follow_ms", 20'000}};
      if (!cursor.empty()) params["cursor"] = cursor;
      const json page = client.Call("compute.vm.events.tail", params)["result"];
      if (page["events"].empty()) break;
      cursor = page["cursor"];
      for (const json& each : page["events"]) {
        if (each["kind"] == kind) found.push_back(each["why"]);
      }
    }
    return found;
  }
};

v1::HealthReply Reply(v1::HealthReply::Check::State state) {
  v1::HealthReply reply;
  auto& web = *reply.add_checks();
  web.set_name("web");
  web.set_state(state);
  web.set_result("status\x1b 503");
  web.set_output("a\nb\x07");
  web.set_since_us(1500);
  reply.set_monotonic_us(2'000'000);
  return reply;
}

TEST_F(OperatorApi, HealthIsTheAgentAndTheGuestsChecksPrintable) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  EXPECT_EQ(client.Call("compute.vm.health", {{"name", "vm"}})["error"]["data"]["kind"],
            "wrong-state");
  ASSERT_TRUE(client.Call("compute.vm.start", {{"name", "vm"}}).contains("result"));
  Answer(Reply(v1::HealthReply::Check::UNHEALTHY));
  const json health = client.Call("compute.vm.health", {{"name", "vm"}})["result"];
  EXPECT_EQ(health["health"], "unhealthy");
  EXPECT_EQ(health["fresh"], true);
  ASSERT_EQ(health["checks"].size(), 2U);
  EXPECT_EQ(health["checks"][0]["name"], "agent");
  EXPECT_EQ(health["checks"][0]["state"], "healthy");
  EXPECT_EQ(health["checks"][1]["result"], "status? 503");
  EXPECT_EQ(health["checks"][1]["output"], "a\nb?");
  EXPECT_EQ(health["checks"][1]["since_ms"], 1.5);
  EXPECT_EQ(health["guest_ms"], 2000.0);
  OnLoop([&] {
    ASSERT_EQ(Guest()->calls.size(), 1U);
    EXPECT_TRUE(Guest()->calls[0].has_health_call());
  });
}

TEST_F(OperatorApi, AnAgentThatDoesNotAnswerIsUnhealthyAndItsChecksAreThoseItLastTold) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  ASSERT_TRUE(client.Call("compute.vm.start", {{"name", "vm"}}).contains("result"));
  OnLoop([&] {
    Guest()->Change(
        [](auto& view) { view.health = {{{"web", HealthVerdict::kHealthy, "fine"}}, 1}; });
    Guest()->call_outcome =
        lifecycle::Refuse(Kind::kAgentUnreachable, "dial-port", ECONNREFUSED, "nobody listens");
  });
  const json health = client.Call("compute.vm.health", {{"name", "vm"}})["result"];
  EXPECT_EQ(health["health"], "unhealthy");
  EXPECT_EQ(health["fresh"], false);
  EXPECT_EQ(health["checks"][0]["state"], "unhealthy");
  EXPECT_EQ(health["checks"][1], (json{{"name", "web"}, {"state", "healthy"}, {"result", "fine"}}));
}

TEST_F(OperatorApi, AReplyThatBreaksABoundIsNotShown) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  ASSERT_TRUE(client.Call("compute.vm.start", {{"name", "vm"}}).contains("result"));
  auto reply = Reply(v1::HealthReply::Check::HEALTHY);
  reply.mutable_checks(0)->set_output(std::string(5000, 'x'));
  Answer(reply);
  const json health = client.Call("compute.vm.health", {{"name", "vm"}})["result"];
  EXPECT_EQ(health["fresh"], false);
  EXPECT_EQ(health["checks"].size(), 1U);
}

TEST_F(OperatorApi, WhoHasSeenItWaitsForAChange) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  ASSERT_TRUE(client.Call("compute.vm.start", {{"name", "vm"}}).contains("result"));
  Answer(Reply(v1::HealthReply::Check::HEALTHY));
  const json first = client.Call("compute.vm.health", {{"name", "vm"}})["result"];
  const std::string line =
      json{{"jsonrpc", "2.0"},
           {"id", 7},
           {"method", "compute.vm.health"},
           {"params", {{"name", "vm"}, {"seen", first["seen"]}, {"follow_ms", 60'000}}}}
          .dump() +
      "\n";
  TestClient waiting(socket_path());
  ASSERT_TRUE(waiting.Send(line));
  OnLoop([&] { EXPECT_EQ(Guest()->calls.size(), 1U); });
  OnLoop([&] {
    Guest()->Change(
        [](auto& view) { view.health = {{{"web", HealthVerdict::kUnhealthy, "status 503"}}, 1}; });
  });
  const json second = json::parse(waiting.ReadLine(), nullptr, false);
  EXPECT_NE(second["result"]["seen"], first["seen"]);
}

TEST_F(OperatorApi, ChangesOfHealthAreEventsAndInStatusAndList) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  EXPECT_EQ(client.Call("compute.vm.list", json::object())["result"][0]["health"], "-");
  ASSERT_TRUE(client.Call("compute.vm.start", {{"name", "vm"}}).contains("result"));
  const auto tell = [&](HealthVerdict verdict, uint64_t version) {
    OnLoop([&] {
      Guest()->Change([&](auto& view) { view.health = {{{"web", verdict, "told"}}, version}; });
    });
  };
  tell(HealthVerdict::kUnknown, 1);
  EXPECT_EQ(client.Call("compute.vm.list", json::object())["result"][0]["health"], "unknown");
  tell(HealthVerdict::kHealthy, 2);
  EXPECT_EQ(Events(client, "health", 1).back(), "web is healthy: told");
  tell(HealthVerdict::kUnhealthy, 3);
  EXPECT_EQ(Events(client, "health", 2).back(), "web is unhealthy: told");
  const json status = client.Call("compute.vm.status", {{"name", "vm"}})["result"];
  EXPECT_EQ(status["health"], "unhealthy");
  EXPECT_EQ(status["instance"]["health"][0]["name"], "web");
}

TEST_F(OperatorApi, TheClockIsMeasuredAndSetOnlyWhereAskedTo) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  ASSERT_TRUE(client.Call("compute.vm.start", {{"name", "vm"}}).contains("result"));
  OnLoop([&] {
    Guest()->clock_outcome =
        lifecycle::ClockReport{.offset_ns = -2'500'000, .error_ns = 400'000, .stepped = false};
  });
  const json clock = client.Call("compute.vm.clock", {{"name", "vm"}})["result"];
  EXPECT_EQ(clock["offset_ms"], -2.5);
  EXPECT_EQ(clock["error_ms"], 0.4);
  ASSERT_TRUE(client.Call("compute.vm.clock", {{"name", "vm"}, {"set", true}}).contains("result"));
  OnLoop([&] {
    EXPECT_EQ(Guest()->asked, (std::vector<std::string>{"clock look", "clock set"}));
    Guest()->Change([](auto& view) {
      view.clock = lifecycle::ClockReport{
          .offset_ns = 9'000'000'000, .error_ns = 1'000'000, .stepped = true};
      view.clock_reports = 1;
    });
  });
  const auto events = Events(client, "clock", 2);
  ASSERT_EQ(events.size(), 2U);
  EXPECT_THAT(events[0], HasSubstr("set the guest's clock"));
  EXPECT_EQ(events[1], "the guest's clock was 9.000 s ahead (± 1.0 ms); it was set");
}

}  // namespace
}  // namespace berth::daemon
