// SPDX-License-Identifier: Apache-2.0
//
// The API over a real Unix socket, with a scripted host behind it. The server runs in a thread of
// its own; clients are plain blocking sockets, so that they can misbehave.
#include "supervisor/daemon/server.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstring>
#include <filesystem>
#include <future>
#include <thread>

#include "protocol/base/io.h"
#include "supervisor/lifecycle/fake_host.h"
#include "supervisor/lifecycle/memory_store.h"

namespace berth::daemon {
namespace {

namespace asio = boost::asio;
using lifecycle::FakeInstance;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

constexpr auto kSoon = seconds(20);

class TestClient {
 public:
  explicit TestClient(const std::string& path)
      : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path.c_str());
    connected_ = connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  bool connected() const { return connected_; }
  int fd() const { return fd_.get(); }

  bool Send(const std::string& text) {
    return WriteFull(fd_.get(), text, Deadline::In(kSoon)).has_value();
  }
  // One line without its newline; empty where the server has closed.
  std::string ReadLine() {
    std::string line;
    char c = 0;
    while (ReadFull(fd_.get(), std::as_writable_bytes(std::span(&c, 1)), Deadline::In(kSoon))) {
      if (c == '\n') return line;
      line += c;
    }
    return {};
  }
  json Call(const std::string& method, json params, int id = 1) {
    const json request = {
        {"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", std::move(params)}};
    if (!Send(request.dump() + "\n")) return {};
    return json::parse(ReadLine(), nullptr, false);
  }
  // True once the server has closed the connection; what comes before that is thrown away.
  bool WaitForClose() {
    char chunk[4096];
    for (;;) {
      if (!PollFor(fd_.get(), POLLIN, Deadline::In(kSoon))) return false;
      const ssize_t n = read(fd_.get(), chunk, sizeof(chunk));
      if (n == 0 || (n < 0 && errno == ECONNRESET)) return true;
      if (n < 0) return false;
    }
  }

 private:
  UniqueFd fd_;
  bool connected_ = false;
};

class ServerTest : public testing::Test {
 protected:
  ~ServerTest() override {
    if (thread_.joinable()) {
      OnLoop([&] {
        server_->StopListening();
        server_->CloseAll();
        asio::co_spawn(io_, fleet_.Shutdown(milliseconds(0)), asio::detached);
        work_.reset();
      });
      thread_.join();
    }
    std::filesystem::remove_all(dir_);
  }

  void Serve(ServerOptions options = {}) {
    options.socket = socket_path();
    server_.emplace(io_.get_executor(), service_, std::move(options));
    const auto listening = server_->Listen();
    ASSERT_TRUE(listening) << listening.error().Message();
    thread_ = std::thread([this] { io_.run(); });
  }
  // Runs `what` on the server's thread.
  void OnLoop(const std::function<void()>& what) {
    std::promise<void> done;
    asio::post(io_, [&] {
      what();
      done.set_value();
    });
    done.get_future().get();
  }
  void Create(TestClient& client, const std::string& name = "vm") {
    const json answer =
        client.Call("compute.vm.create", {{"spec", {{"name", name}, {"image", "/i"}}}});
    ASSERT_TRUE(answer.contains("result")) << answer;
  }
  std::string socket_path() const { return dir_ + "/b.sock"; }

  static std::string MakeDir() {
    char pattern[] = "/tmp/berth-api-XXXXXX";
    return mkdtemp(pattern);
  }

  const std::string dir_ = MakeDir();
  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
  lifecycle::MemoryStore store_{100};
  lifecycle::FakeHost host_;
  lifecycle::Fleet fleet_{host_, store_, io_.get_executor()};
  Service service_{fleet_, dir_, socket_path(), 0, []() -> asio::awaitable<std::vector<Check>> {
                     co_return std::vector<Check>{{"kvm", Verdict::kWarning, "slow", "be patient"}};
                   }};
  std::optional<Server> server_;
  std::thread thread_;
};

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
    EXPECT_EQ(instance->execs.at(0).argv(1), "hi");
    EXPECT_TRUE(instance->execs.at(0).tty());
    EXPECT_TRUE(ReadFull(instance->exec_peer.get(), std::as_writable_bytes(std::span(&got, 1)),
                         Deadline::In(kSoon)));
  });
  EXPECT_EQ(got, 'x');
  EXPECT_TRUE(client.Call("compute.vm.list", json::object()).contains("result"));
  const json events = client.Call("compute.vm.events.tail", json::object())["result"]["events"];
  EXPECT_EQ(events.back()["kind"], "exec");
  EXPECT_THAT(events.back()["why"].get<std::string>(), HasSubstr("echo hi"));
}

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
    host_.instances.at("vm").lock()->service_outcome = reply;
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
    ASSERT_EQ(instance->service_calls.size(), 2U);
    EXPECT_EQ(instance->service_calls[0].timeout_ms(), 90'000U);
    EXPECT_EQ(instance->service_calls[1].verb(), v1::ServiceCall::RESTART);
    EXPECT_EQ(instance->service_calls[1].name(), "web");
    EXPECT_EQ(instance->service_calls[1].timeout_ms(), 1500U);
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
      host_.instances.at("vm").lock()->service_outcome = reply;
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
  OnLoop([&] { host_.instances.at("vm").lock()->service_hangs = true; });
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
  OnLoop([&] { host_.instances.at("vm").lock()->service_hangs = true; });
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
    host_.instances.at("vm").lock()->exec_outcome =
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
