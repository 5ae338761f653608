// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/server_fixture.h"

namespace berth::daemon {
namespace {

using ServerForwardTest = ServerTest;

size_t ForwardEvents(TestClient& client) {
  size_t count = 0;
  const json page = client.Call("compute.vm.events.tail", json::object())["result"];
  for (const json& each : page["events"]) count += each["kind"] == "forward" ? 1 : 0;
  return count;
}

TEST_F(ServerForwardTest, HandsConnectionsOverAndRecordsEachTargetOnce) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  ASSERT_TRUE(client.Call("compute.vm.start", {{"name", "vm"}}).contains("result"));
  const auto forward = [](TestClient& by, json target) {
    target["name"] = "vm";
    const json answer = by.Call("compute.vm.forward", std::move(target));
    ASSERT_TRUE(answer.contains("result")) << answer;
    EXPECT_TRUE(ReceiveFd(by.fd(), Deadline::In(kSoon)));
  };
  for (int i = 0; i < 3; ++i) forward(client, {{"port", 80}});
  EXPECT_EQ(ForwardEvents(client), 1U) << "a client makes thousands of connections";
  forward(client, {{"path", "/run/db.sock"}});
  forward(client, {{"port", 80}, {"host", "::1"}});
  EXPECT_EQ(ForwardEvents(client), 3U);
  TestClient other(socket_path());
  forward(other, {{"port", 80}});
  EXPECT_EQ(ForwardEvents(client), 4U) << "another command";
  const json events = client.Call("compute.vm.events.tail", json::object())["result"]["events"];
  EXPECT_THAT(events.back()["why"].get<std::string>(), HasSubstr("localhost:80"));
  EXPECT_THAT((events.end() - 2)->at("why").get<std::string>(), HasSubstr("[::1]:80"));
  OnLoop([&] {
    const auto& streams = host_.instances.at("vm").lock()->streams;
    ASSERT_EQ(streams.size(), 6U);
    EXPECT_EQ(streams[0].forward().tcp().port(), 80U);
    EXPECT_EQ(streams[0].forward().tcp().host(), "localhost");
    EXPECT_EQ(streams[3].forward().unix_path(), "/run/db.sock");
    EXPECT_EQ(streams[4].forward().tcp().host(), "::1");
  });
}

TEST_F(ServerForwardTest, ImpossibleTargetsAreRefusedBeforeTheGuestIsBothered) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  EXPECT_EQ(
      client.Call("compute.vm.forward", {{"name", "vm"}, {"port", 80}})["error"]["data"]["kind"],
      "wrong-state");
  ASSERT_TRUE(client.Call("compute.vm.start", {{"name", "vm"}}).contains("result"));
  for (json target :
       {json::object(), json{{"port", 0}}, json{{"port", 65536}}, json{{"path", "relative"}},
        json{{"path", "/" + std::string(107, 'x')}}, json{{"path", std::string("/a\0b", 4)}},
        json{{"port", 80}, {"path", "/a"}}, json{{"path", "/a"}, {"host", "::1"}},
        json{{"port", 80}, {"host", ""}}, json{{"port", 80}, {"host", std::string(65, 'x')}}}) {
    target["name"] = "vm";
    EXPECT_EQ(client.Call("compute.vm.forward", target)["error"]["data"]["errno_name"], "EINVAL")
        << target;
  }
  OnLoop([&] { EXPECT_TRUE(host_.instances.at("vm").lock()->streams.empty()); });
  EXPECT_EQ(ForwardEvents(client), 0U);
}

TEST_F(ServerForwardTest, AClientOfManyTargetsIsRecordedEachTime) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  ASSERT_TRUE(client.Call("compute.vm.start", {{"name", "vm"}}).contains("result"));
  const auto forward = [&](int port) {
    EXPECT_TRUE(
        client.Call("compute.vm.forward", {{"name", "vm"}, {"port", port}}).contains("result"));
    EXPECT_TRUE(ReceiveFd(client.fd(), Deadline::In(kSoon)));
  };
  for (int port = 1; port <= 65; ++port) forward(port);
  EXPECT_EQ(ForwardEvents(client), 65U);
  forward(1);
  EXPECT_EQ(ForwardEvents(client), 65U);
  forward(65);
  EXPECT_EQ(ForwardEvents(client), 66U) << "what is remembered is bounded";
}

}  // namespace
}  // namespace berth::daemon
