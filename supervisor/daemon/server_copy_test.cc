// SPDX-License-Identifier: Apache-2.0
//
// compute.vm.copy over the API: what the guest is asked for, and what is recorded of who asked.
#include "supervisor/daemon/server_fixture.h"

namespace berth::daemon {
namespace {

class ServerCopyTest : public ServerTest {
 protected:
  void Start(TestClient& client) {
    Create(client);
    ASSERT_TRUE(client.Call("compute.vm.start", {{"name", "vm"}}).contains("result"));
  }
};

TEST_F(ServerCopyTest, HandsOverADescriptorAndRecordsWhoAskedForWhat) {
  Serve();
  TestClient client(socket_path());
  Start(client);
  const json answer = client.Call("compute.vm.copy", {{"name", "vm"},
                                                      {"direction", "to-guest"},
                                                      {"path", "/srv/\x1b[31m"},
                                                      {"source_name", "app"},
                                                      {"into_directory", true}});
  ASSERT_TRUE(answer["result"]["handover"].get<bool>()) << answer;
  ASSERT_TRUE(ReceiveFd(client.fd(), Deadline::In(kSoon)));
  OnLoop([&] {
    const auto instance = host_.instances.at("vm").lock();
    const v1::CopyStart& start = instance->streams.at(0).copy_start();
    EXPECT_EQ(start.direction(), v1::CopyStart::TO_GUEST);
    EXPECT_EQ(start.path(), "/srv/\x1b[31m");
    EXPECT_EQ(start.name(), "app");
    EXPECT_TRUE(start.into_directory());
    EXPECT_FALSE(start.keep_owner());
  });
  const json events = client.Call("compute.vm.events.tail", json::object())["result"]["events"];
  EXPECT_EQ(events.back()["kind"], "copy");
  EXPECT_THAT(events.back()["why"].get<std::string>(), HasSubstr("to the guest's /srv/?[31m"));
  EXPECT_THAT(events.back()["why"].get<std::string>(), HasSubstr("uid "));
}

TEST_F(ServerCopyTest, RefusesWhatTheGuestWould) {
  Serve();
  TestClient client(socket_path());
  Start(client);
  for (const auto& [direction, path, name] :
       {std::tuple{"sideways", "/a", "b"}, std::tuple{"to-guest", "a", "b"},
        std::tuple{"to-guest", "/a", "../b"}, std::tuple{"from-guest", "", ""}}) {
    const json answer = client.Call(
        "compute.vm.copy",
        {{"name", "vm"}, {"direction", direction}, {"path", path}, {"source_name", name}});
    EXPECT_EQ(answer["error"]["data"]["errno_name"], "EINVAL") << answer;
  }
  OnLoop([&] { EXPECT_TRUE(host_.instances.at("vm").lock()->streams.empty()); });
}

TEST_F(ServerCopyTest, AVmThatIsNotRunningIsNamed) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  const json error = client.Call(
      "compute.vm.copy", {{"name", "vm"}, {"direction", "from-guest"}, {"path", "/a"}})["error"];
  EXPECT_THAT(error["message"].get<std::string>(), HasSubstr("berth start vm"));
}

}  // namespace
}  // namespace berth::daemon
