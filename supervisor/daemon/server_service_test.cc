// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/server_fixture.h"

namespace berth::daemon {
namespace {

TEST_F(ServerTest, ServicesAreToldPrintableAndOrdersAreRecorded) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  ASSERT_TRUE(client.Call("compute.vm.start", {{"name", "vm"}}).contains("result"));
  OnLoop([&] {
    v1::ServiceReply reply;
    auto& web = *reply.add_services();
    web.set_name("web\x1b[2J");
    web.set_state(v1::ServiceReply::Service::READY);
    web.set_signal(11);
    web.set_ready_us(1500);
    reply.add_services()->set_state(static_cast<v1::ServiceReply::Service::State>(99));
    reply.set_monotonic_us(2'000'000);
    *host_.instances.at("vm").lock()->call_outcome->mutable_service_reply() = reply;
  });
  const json answer = client.Call("compute.vm.service", {{"name", "vm"}, {"verb", "ls"}})["result"];
  ASSERT_EQ(answer["services"].size(), 2U) << answer;
  EXPECT_EQ(answer["guest_ms"], 2000);
  const json& web = answer["services"][0];
  EXPECT_EQ(web["name"], "web?[2J");
  EXPECT_EQ(web["state"], "ready");
  EXPECT_EQ(web["last_exit"], json({{"signal", 11}}));
  EXPECT_EQ(web["ready_ms"], 1.5);
  EXPECT_TRUE(web["first_ready_ms"].is_null());
  EXPECT_EQ(answer["services"][1]["state"], "inactive") << "a state of a later generation";

  EXPECT_TRUE(
      client
          .Call("compute.vm.service",
                {{"name", "vm"}, {"verb", "restart"}, {"service", "web"}, {"timeout_ms", 1500}})
          .contains("result"));
  OnLoop([&] {
    const auto instance = host_.instances.at("vm").lock();
    ASSERT_EQ(instance->calls.size(), 2U);
    EXPECT_EQ(instance->calls[0].service_call().timeout_ms(), 90'000U);
    EXPECT_EQ(instance->calls[1].service_call().verb(), v1::ServiceCall::RESTART);
    EXPECT_EQ(instance->calls[1].service_call().name(), "web");
    EXPECT_EQ(instance->calls[1].service_call().timeout_ms(), 1500U);
  });
  const json events = client.Call("compute.vm.events.tail", json::object())["result"]["events"];
  EXPECT_EQ(events.back()["kind"], "service");
  EXPECT_THAT(events.back()["why"].get<std::string>(), HasSubstr("restart web"));
  EXPECT_NE((events.end() - 2)->at("kind"), "service") << "a look is no event";
}

TEST_F(ServerTest, WhatTheGuestRefusesIsAnErrorOfItsOwn) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  const json order = {{"name", "vm"}, {"verb", "start"}, {"service", "web"}};
  EXPECT_EQ(client.Call("compute.vm.service", order)["error"]["data"]["kind"], "wrong-state");
  ASSERT_TRUE(client.Call("compute.vm.start", {{"name", "vm"}}).contains("result"));
  const auto answer_with = [&](int errnum, const std::string& message) {
    OnLoop([&] {
      v1::ServiceReply reply;
      reply.set_errnum(errnum);
      reply.set_message(message);
      *host_.instances.at("vm").lock()->call_outcome->mutable_service_reply() = reply;
    });
    return client.Call("compute.vm.service", order)["error"]["data"];
  };
  EXPECT_EQ(answer_with(ENOENT, "no service is named 'web'")["detail"],
            "no service is named 'web'");
  EXPECT_EQ(answer_with(ETIMEDOUT, "")["kind"], "timed-out");
  EXPECT_EQ(answer_with(EPERM, "")["kind"], "failed") << "it is not this host that forbids it";
}

TEST_F(ServerTest, ImpossibleServiceCallsAreNotSent) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  for (const json& call :
       {json{{"verb", "enable"}, {"service", "web"}}, json{{"verb", "start"}},
        json{{"verb", "ls"}, {"service", "web"}},
        json{{"verb", "start"}, {"service", std::string(64, 'x')}},
        json{{"verb", "start"}, {"service", "web"}, {"timeout_ms", 3'600'001}}}) {
    json params = call;
    params["name"] = "vm";
    EXPECT_EQ(client.Call("compute.vm.service", params)["error"]["data"]["errno_name"], "EINVAL")
        << call;
  }
}

TEST_F(ServerTest, AServiceCallWhoseClientHasGoneIsGivenUp) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  ASSERT_TRUE(client.Call("compute.vm.start", {{"name", "vm"}}).contains("result"));
  const auto hanging = [&] {
    int count = 0;
    OnLoop([&] { count = host_.instances.at("vm").lock()->hanging; });
    return count;
  };
  OnLoop([&] { host_.instances.at("vm").lock()->calls_hang = true; });
  const std::string line =
      R"({"jsonrpc":"2.0","id":1,"method":"compute.vm.service",)"
      R"("params":{"name":"vm","verb":"start","service":"slow","timeout_ms":3600000}})"
      "\n";
  const Deadline soon = Deadline::In(kSoon);
  {
    TestClient leaving(socket_path());
    ASSERT_TRUE(leaving.Send(line));
    // Who has closed its writing half waits for the answer still.
    shutdown(leaving.fd(), SHUT_WR);
    while (hanging() != 1 && !soon.Passed()) continue;
    client.Call("compute.vm.status", {{"name", "vm"}});
    EXPECT_EQ(hanging(), 1);
  }
  while (hanging() != 0 && !soon.Passed()) continue;
  EXPECT_EQ(hanging(), 0);
}

TEST_F(ServerTest, AGuestHasOnlySoManyServiceCallsAtOnce) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  ASSERT_TRUE(client.Call("compute.vm.start", {{"name", "vm"}}).contains("result"));
  OnLoop([&] { host_.instances.at("vm").lock()->calls_hang = true; });
  const json params = {{"name", "vm"}, {"verb", "ls"}};
  json request = {
      {"jsonrpc", "2.0"}, {"id", 0}, {"method", "compute.vm.service"}, {"params", params}};
  for (int id = 1; id <= 8; ++id) {
    request["id"] = id;
    ASSERT_TRUE(client.Send(request.dump() + "\n"));
  }
  const json answer = client.Call("compute.vm.service", params, 9);
  EXPECT_EQ(answer["id"], 9);
  EXPECT_EQ(answer["error"]["data"]["kind"], "limit") << answer;
}

TEST_F(ServerTest, HowTheGuestEndedItselfIsInStatusAndWait) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  ASSERT_TRUE(client.Call("compute.vm.start", {{"name", "vm"}}).contains("result"));
  OnLoop([&] {
    const auto instance = host_.instances.at("vm").lock();
    instance->Change([](auto& view) {
      view.configure_refused = "EINVAL: 1:1: unknown key";
      view.configure_refusals = 1;
      view.guest_exit = lifecycle::GuestExit{
          .cause = lifecycle::GuestExit::Cause::kMain, .name = "web", .code = 3, .signal = {}};
    });
  });
  OnLoop([&] { host_.instances.at("vm").lock()->Exit(shim::ExitReason::kGuestShutdown); });
  const json told = {{"cause", "main"}, {"code", 3}, {"mode", "power-off"}, {"service", "web"}};
  const json reached =
      client.Call("compute.vm.wait", {{"name", "vm"}, {"states", {"Stopped", "Failed"}}})["result"];
  EXPECT_EQ(reached["state"], "Stopped");
  EXPECT_EQ(reached["guest_exit"], told);
  const json status = client.Call("compute.vm.status", {{"name", "vm"}})["result"];
  EXPECT_EQ(status["guest_exit"], told);
  EXPECT_THAT(status["why"].get<std::string>(),
              HasSubstr("main service web ended with exit code 3"));
}

TEST_F(ServerTest, AConfigurationThatTheGuestRefusesIsAWarningInTheEventLog) {
  // It came before the VM was Running: it is told all the same.
  host_.scripts = {[](FakeInstance& instance) {
    instance.Launch();
    instance.Change([](auto& view) {
      view.configure_refused = "EINVAL: 1:1: unknown key";
      view.configure_refusals = 1;
    });
    instance.SayReady();
  }};
  Serve();
  TestClient client(socket_path());
  const json spec = {{"name", "vm"}, {"image", "/i"}, {"guest_config", "hostnam = 1\n"}};
  const json created = client.Call("compute.vm.create", {{"spec", spec}});
  EXPECT_EQ(created["result"]["spec"]["guest_config"], "hostnam = 1\n") << created;
  ASSERT_TRUE(client.Call("compute.vm.start", {{"name", "vm"}}).contains("result"));
  std::string cursor;
  for (;;) {
    json params = {{"follow_ms", 20'000}};
    if (!cursor.empty()) params["cursor"] = cursor;
    const json page = client.Call("compute.vm.events.tail", params)["result"];
    ASSERT_FALSE(page["events"].empty()) << "no such event came";
    cursor = page["cursor"];
    bool found = false;
    for (const json& each : page["events"]) {
      if (each["kind"] != "guest") continue;
      found = true;
      EXPECT_THAT(each["why"].get<std::string>(), HasSubstr("unknown key"));
    }
    if (found) break;
  }
}

}  // namespace
}  // namespace berth::daemon
