// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/server_fixture.h"

namespace berth::daemon {
namespace {

TEST_F(ServerTest, AVmLivesAndDiesOverTheApi) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  EXPECT_EQ(client.Call("compute.vm.start", {{"name", "vm"}})["result"]["state"], "Running");
  const json status = client.Call("compute.vm.status", {{"name", "vm"}})["result"];
  EXPECT_EQ(status["instance"]["agent"]["state"], "up");
  EXPECT_EQ(status["boot"]["phases"].front()["name"], "hypervisor exec");
  EXPECT_EQ(status["transitions"].back()["to"], "Running");
  EXPECT_EQ(client.Call("compute.vm.list", json::object())["result"].size(), 1U);
  EXPECT_EQ(client.Call("compute.vm.stop", {{"name", "vm"}})["result"]["state"], "Stopped");
  EXPECT_EQ(client.Call("compute.vm.remove", {{"name", "vm"}})["result"]["name"], "vm");
  EXPECT_EQ(client.Call("compute.vm.list", json::object())["result"].size(), 0U);
}

TEST_F(ServerTest, AFaultCarriesCodeKindStepAndTheVmsState) {
  Serve();
  TestClient client(socket_path());
  EXPECT_EQ(client.Call("compute.vm.start", {{"name", "no"}})["error"]["code"], -32001);
  Create(client);
  const json error = client.Call("compute.vm.stop", {{"name", "vm"}})["error"];
  EXPECT_EQ(error["code"], -32003);
  EXPECT_EQ(error["data"]["kind"], "wrong-state");
  EXPECT_EQ(error["data"]["step"], "stop");
  EXPECT_EQ(error["data"]["state"], "Pending");
}

TEST_F(ServerTest, MistakesOfTheProtocolHaveTheirCodes) {
  Serve();
  TestClient client(socket_path());
  ASSERT_TRUE(client.Send("nonsense\n"));
  EXPECT_EQ(json::parse(client.ReadLine())["error"]["code"], kParseError);
  EXPECT_EQ(client.Call("no.such", json::object())["error"]["code"], kMethodNotFound);
  EXPECT_EQ(client.Call("compute.vm.start", {{"nam", "x"}})["error"]["code"], kInvalidParams);
  EXPECT_EQ(
      client.Call("compute.vm.create", {{"spec", {{"name", "b d"}}}})["error"]["data"]["kind"],
      "invalid-spec");
  EXPECT_TRUE(client.Call("compute.vm.list", json::object()).contains("result"))
      << "and the connection lives on";
}

TEST_F(ServerTest, ABatchIsAnsweredAsOneAndNotificationsAreNot) {
  Serve();
  TestClient client(socket_path());
  ASSERT_TRUE(client.Send(
      R"([{"jsonrpc":"2.0","id":1,"method":"compute.vm.list"},)"
      R"({"jsonrpc":"2.0","method":"compute.vm.list"},)"
      R"({"jsonrpc":"2.0","id":"x","method":"no.such"},)"
      R"({"jsonrpc":"2.0","id":2,"method":"compute.vm.exec","params":{"name":"vm","argv":["x"]}}])"
      "\n"));
  const json answers = json::parse(client.ReadLine());
  ASSERT_EQ(answers.size(), 3U) << answers;
  EXPECT_EQ(answers[0]["id"], 1);
  EXPECT_EQ(answers[1]["error"]["code"], kMethodNotFound);
  EXPECT_EQ(answers[2]["error"]["code"], kInvalidRequest) << "no descriptors in a batch";
}

TEST_F(ServerTest, DiscoverAnswersTheTableItDispatchesBy) {
  Serve();
  TestClient client(socket_path());
  const json document = client.Call("rpc.discover", json::object())["result"];
  EXPECT_EQ(document, Discover(Methods()));
}

TEST_F(ServerTest, ExecHandsOverADescriptorBehindItsAnswer) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  ASSERT_TRUE(client.Call("compute.vm.start", {{"name", "vm"}}).contains("result"));
  const json answer =
      client.Call("compute.vm.exec", {{"name", "vm"}, {"argv", {"echo", "hi"}}, {"tty", true}});
  ASSERT_TRUE(answer["result"]["handover"].get<bool>()) << answer;
  auto fd = ReceiveFd(client.fd(), Deadline::In(kSoon));
  ASSERT_TRUE(fd) << fd.error().Message();
  ASSERT_TRUE(WriteFull(fd->get(), "x", Deadline::In(kSoon)));
  char got = 0;
  OnLoop([&] {
    auto instance = host_.instances.at("vm").lock();
    EXPECT_EQ(instance->streams.at(0).exec_start().argv(1), "hi");
    EXPECT_TRUE(instance->streams.at(0).exec_start().tty());
    EXPECT_TRUE(ReadFull(instance->stream_peer.get(), std::as_writable_bytes(std::span(&got, 1)),
                         Deadline::In(kSoon)));
  });
  EXPECT_EQ(got, 'x');
  EXPECT_TRUE(client.Call("compute.vm.list", json::object()).contains("result"));
  const json events = client.Call("compute.vm.events.tail", json::object())["result"]["events"];
  EXPECT_EQ(events.back()["kind"], "exec");
  EXPECT_THAT(events.back()["why"].get<std::string>(), HasSubstr("echo hi"));
}

TEST_F(ServerTest, ExecInAVmThatIsNotRunningNamesItsState) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  const json error = client.Call("compute.vm.exec", {{"name", "vm"}, {"argv", {"true"}}})["error"];
  EXPECT_EQ(error["data"]["state"], "Pending");
  EXPECT_THAT(error["message"].get<std::string>(), HasSubstr("berth start vm"));
}

TEST_F(ServerTest, AnAgentThatCannotBeReachedIsAnErrorOfItsKind) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  ASSERT_TRUE(client.Call("compute.vm.start", {{"name", "vm"}}).contains("result"));
  OnLoop([&] {
    host_.instances.at("vm").lock()->stream_outcome =
        lifecycle::Refuse(Kind::kAgentUnreachable, "dial-port", ECONNREFUSED, "port 1023");
  });
  const json error = client.Call("compute.vm.exec", {{"name", "vm"}, {"argv", {"true"}}})["error"];
  EXPECT_EQ(error["data"]["kind"], "agent-unreachable");
  EXPECT_EQ(error["data"]["errno_name"], "ECONNREFUSED");
}

TEST_F(ServerTest, EventsAreFollowedFromACursor) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  const json page = client.Call("compute.vm.events.tail", json::object())["result"];
  ASSERT_FALSE(page["events"].empty());
  TestClient follower(socket_path());
  ASSERT_TRUE(follower.Send(
      json({{"jsonrpc", "2.0"},
            {"id", 9},
            {"method", "compute.vm.events.tail"},
            {"params", {{"cursor", page["cursor"]}, {"follow_ms", 20'000}, {"name", "other"}}}})
          .dump() +
      "\n"));
  Create(client, "third");
  Create(client, "other");
  const json more = json::parse(follower.ReadLine())["result"];
  ASSERT_EQ(more["events"].size(), 1U);
  EXPECT_EQ(more["events"][0]["vm"], "other");
  EXPECT_EQ(
      client.Call("compute.vm.events.tail", {{"cursor", "zzz-1"}})["error"]["data"]["errno_name"],
      "ESTALE");
}

TEST_F(ServerTest, AnswersOfSeveralRequestsComeAsTheyAreReady) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  ASSERT_TRUE(client.Send(
      R"({"jsonrpc":"2.0","id":1,"method":"compute.vm.wait","params":{"name":"vm","states":["Running"]}})"
      "\n"
      R"({"jsonrpc":"2.0","id":2,"method":"compute.vm.start","params":{"name":"vm"}})"
      "\n"));
  const json first = json::parse(client.ReadLine());
  const json second = json::parse(client.ReadLine());
  EXPECT_NE(first["id"], second["id"]);
  EXPECT_TRUE(first.contains("result") && second.contains("result"));
}

TEST_F(ServerTest, AClientThatClosesItsWritingHalfIsStillAnswered) {
  Serve();
  TestClient client(socket_path());
  ASSERT_TRUE(client.Send(R"({"jsonrpc":"2.0","id":1,"method":"compute.vm.list"})"
                          "\n"));
  shutdown(client.fd(), SHUT_WR);
  EXPECT_TRUE(json::parse(client.ReadLine()).contains("result"));
  EXPECT_TRUE(client.WaitForClose());
}

TEST_F(ServerTest, ALineOverTheLimitEndsItsConnectionWithAnError) {
  Serve();
  TestClient client(socket_path());
  // The server stops reading in the middle: what does not fit any more fails to be sent.
  std::ignore = client.Send(std::string(kMaxLineBytes + 64 * 1024, 'x'));
  EXPECT_EQ(json::parse(client.ReadLine())["error"]["code"], kInvalidRequest);
  EXPECT_TRUE(client.WaitForClose());
  EXPECT_TRUE(TestClient(socket_path()).Call("compute.vm.list", json::object()).contains("result"));
}

TEST_F(ServerTest, ALineThatDoesNotEndInTimeEndsItsConnection) {
  ServerOptions options;
  options.limits.line_timeout = milliseconds(50);
  Serve(options);
  TestClient idle(socket_path());
  TestClient slow(socket_path());
  ASSERT_TRUE(slow.Send("{"));
  EXPECT_TRUE(slow.WaitForClose());
  EXPECT_TRUE(idle.Call("compute.vm.list", json::object()).contains("result"))
      << "a client between two requests may take its time";
}

TEST_F(ServerTest, AClientThatNeverReadsIsStoppedAndHarmsNobody) {
  ServerOptions options;
  options.limits.max_queued_bytes = 64 * 1024;
  options.limits.write_timeout = milliseconds(200);
  Serve(options);
  TestClient deaf(socket_path());
  const std::string request = R"({"jsonrpc":"2.0","id":1,"method":"rpc.discover"})"
                              "\n";
  // Until the server reads no more of it: its queue, and both sockets, are full.
  ASSERT_TRUE(SetNonBlocking(deaf.fd(), true));
  size_t sent = 0;
  while (sent < 256 * 1024 * 1024UL) {
    const ssize_t n = send(deaf.fd(), request.data(), request.size(), MSG_NOSIGNAL);
    if (n > 0) {
      sent += static_cast<size_t>(n);
    } else if (errno != EAGAIN) {
      break;  // closed
    } else if (!PollFor(deaf.fd(), POLLOUT, Deadline::In(kSoon))) {
      FAIL() << "the server neither reads nor closes";
    }
  }
  EXPECT_LT(sent, 64 * 1024 * 1024UL);
  EXPECT_TRUE(TestClient(socket_path()).Call("compute.vm.list", json::object()).contains("result"));
}

TEST_F(ServerTest, RequestsInFlightAreBounded) {
  ServerOptions options;
  options.limits.max_in_flight = 2;
  Serve(options);
  TestClient client(socket_path());
  Create(client);
  const auto wait = [&](int id) {
    return json({{"jsonrpc", "2.0"},
                 {"id", id},
                 {"method", "compute.vm.wait"},
                 {"params", {{"name", "vm"}, {"states", {"Running"}}}}})
               .dump() +
           "\n";
  };
  ASSERT_TRUE(client.Send(wait(1) + wait(2) +
                          R"({"jsonrpc":"2.0","id":3,"method":"compute.vm.list"})"
                          "\n"));
  // The third waits its turn, so it cannot be the first to be answered.
  TestClient other(socket_path());
  ASSERT_TRUE(other.Call("compute.vm.start", {{"name", "vm"}}).contains("result"));
  EXPECT_NE(json::parse(client.ReadLine())["id"], 3);
  EXPECT_NE(json::parse(client.ReadLine())["id"], 3);
  EXPECT_EQ(json::parse(client.ReadLine())["id"], 3);
}

TEST_F(ServerTest, ConnectionsAreBounded) {
  ServerOptions options;
  options.max_connections = 2;
  Serve(options);
  TestClient one(socket_path());
  TestClient two(socket_path());
  ASSERT_TRUE(one.Call("compute.vm.list", json::object()).contains("result"));
  ASSERT_TRUE(two.Call("compute.vm.list", json::object()).contains("result"));
  TestClient three(socket_path());
  EXPECT_TRUE(three.WaitForClose());
  EXPECT_TRUE(one.Call("compute.vm.list", json::object()).contains("result"));
}

TEST_F(ServerTest, ASocketIsItsOwnersAndGoesWithTheServer) {
  Serve();
  struct stat status{};
  ASSERT_EQ(stat(socket_path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  OnLoop([&] { server_->StopListening(); });
  EXPECT_NE(access(socket_path().c_str(), F_OK), 0);
}

TEST_F(ServerTest, AGroupMayBeLetIn) {
  ServerOptions options;
  options.group = getegid();
  Serve(options);
  struct stat status{};
  ASSERT_EQ(stat(socket_path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0660U);
}

TEST_F(ServerTest, ASocketThatIsInUseIsNotTakenAndAStaleOneIs) {
  Serve();
  Server second(io_.get_executor(), service_, {.socket = socket_path()});
  const auto listening = second.Listen();
  ASSERT_FALSE(listening);
  EXPECT_EQ(listening.error().errnum, EADDRINUSE);
  // A socket file that nobody listens on.
  const std::string stale = dir_ + "/stale.sock";
  {
    const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, stale.c_str());
    ASSERT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  Server third(io_.get_executor(), service_, {.socket = stale});
  OnLoop([&] {
    EXPECT_TRUE(third.Listen());
    third.StopListening();
  });
  OnLoop([] {});  // behind the end of its accept loop, which refers to it
}

TEST_F(ServerTest, HostInfoAndDoctorAnswer) {
  Serve();
  TestClient client(socket_path());
  const json info = client.Call("compute.host.info", json::object())["result"];
  EXPECT_EQ(info["pid"], getpid());
  EXPECT_EQ(info["vms"]["Running"], 0);
  const json checks = client.Call("compute.host.doctor", json::object())["result"];
  EXPECT_EQ(checks[0]["verdict"], "warning");
  EXPECT_EQ(checks[0]["mend"], "be patient");
}

TEST_F(ServerTest, TheConsolesEndIsShown) {
  Serve();
  TestClient client(socket_path());
  Create(client);
  EXPECT_EQ(client.Call("compute.vm.console", {{"name", "vm"}})["error"]["data"]["kind"],
            "wrong-state");
  std::filesystem::create_directories(dir_ + "/vms/vm");
  ASSERT_TRUE(WriteFileAtomic(dir_ + "/vms/vm/console.log", "booting\nready\n", 0600));
  const json answer = client.Call("compute.vm.console", {{"name", "vm"}, {"max_bytes", 6}});
  ASSERT_TRUE(answer.contains("result")) << answer;
  const json& console = answer["result"];
  EXPECT_EQ(console["text"], "ready\n");
  EXPECT_TRUE(console["truncated"].get<bool>());
}

}  // namespace
}  // namespace berth::daemon
