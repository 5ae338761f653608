// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include "protocol/wire/limits.h"
#include "supervisor/daemon/server_fixture.h"

namespace berth::daemon {
namespace {

class ServerStatsTest : public ServerTest {
 protected:
  void Up(TestClient& client) {
    Create(client);
    ASSERT_TRUE(client.Call("compute.vm.start", {{"name", "vm"}}).contains("result"));
  }
  void Answer(const std::function<void(v1::StatsReply&)>& fill) {
    OnLoop([&] {
      v1::StatsReply reply;
      fill(reply);
      *host_.instances.at("vm").lock()->call_outcome->mutable_stats_reply() = reply;
    });
  }
};

TEST_F(ServerStatsTest, TheGuestsClaimStandsBesideTheHostsOwnFigures) {
  Serve();
  TestClient client(socket_path());
  Up(client);
  Answer([](v1::StatsReply& reply) {
    reply.mutable_memory()->set_total_bytes(1024);
    reply.add_disks()->set_name("vda\n");
  });
  // A hypervisor of which this host's kernel tells.
  OnLoop([&] {
    host_.instances.at("vm").lock()->Change(
        [](auto& view) { view.launched->hypervisor_pid = getpid(); });
  });
  const json answer = client.Call("compute.vm.stats", {{"name", "vm"}})["result"];
  EXPECT_EQ(answer["guest"]["memory"]["total_bytes"], 1024) << answer;
  EXPECT_EQ(answer["guest"]["disks"][0]["name"], "vda?");
  EXPECT_EQ(answer["host"]["pid"], getpid());
  EXPECT_GT(answer["host"]["rss_bytes"].get<uint64_t>(), 1'000'000U);
  OnLoop([&] { EXPECT_TRUE(host_.instances.at("vm").lock()->calls.at(0).has_stats_call()); });
}

TEST_F(ServerStatsTest, AnAnswerThatKeepsNoBoundsIsRefused) {
  Serve();
  TestClient client(socket_path());
  EXPECT_EQ(client.Call("compute.vm.stats", {{"name", "vm"}})["error"]["data"]["kind"],
            "unknown-vm");
  Up(client);
  const std::string long_text(wire::kMaxStatsTextBytes + 1, 'x');
  const std::function<void(v1::StatsReply&)> bad[] = {
      [](auto& reply) {
        for (int i = 0; i <= wire::kMaxStatsDisks; ++i) reply.add_disks();
      },
      [](auto& reply) {
        for (int i = 0; i <= wire::kMaxStatsGroups; ++i) reply.add_sessions();
      },
      [&](auto& reply) { reply.add_interfaces()->set_name(long_text); },
      [&](auto& reply) { reply.add_file_systems()->set_path(long_text); },
      [&](auto& reply) { reply.add_services()->set_name(long_text); }};
  for (const auto& fill : bad) {
    Answer(fill);
    const json error = client.Call("compute.vm.stats", {{"name", "vm"}})["error"];
    EXPECT_EQ(error["data"]["kind"], "agent-unreachable") << error;
  }
}

TEST_F(ServerStatsTest, AGuestThatDoesNotAnswerHoldsOnlySoManyCalls) {
  Serve();
  TestClient client(socket_path());
  Up(client);
  OnLoop([&] { host_.instances.at("vm").lock()->calls_hang = true; });
  const json request = {
      {"jsonrpc", "2.0"}, {"id", 1}, {"method", "compute.vm.stats"}, {"params", {{"name", "vm"}}}};
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(client.Send(request.dump() + "\n"));
  const json answer = client.Call("compute.vm.stats", {{"name", "vm"}}, 9);
  EXPECT_EQ(answer["id"], 9);
  EXPECT_EQ(answer["error"]["data"]["kind"], "limit") << answer;
}

}  // namespace
}  // namespace berth::daemon
