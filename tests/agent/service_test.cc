// SPDX-License-Identifier: Apache-2.0
//
// Service calls: the host asks, the agent hands it to PID 1 and brings back what it says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <cstring>
#include <future>

#include "agent/service_link.h"
#include "protocol/wire/limits.h"
#include "tests/agent/agent_rig.h"
#include "tests/agent/raw_client.h"
#include "tests/agent/scripted_pid1.h"

namespace berth::testing {
namespace {

using ::testing::HasSubstr;
using Service = v1::ServiceReply::Service;

std::string HelloBytes(uint32_t generation = 2) { return RawClient::Hello(generation); }

std::string CallBytes(v1::ServiceCall::Verb verb, const std::string& name,
                      uint64_t timeout_ms = 1234) {
  return RawClient::Encoded([&](v1::Envelope& message) {
    message.mutable_service_call()->set_verb(verb);
    message.mutable_service_call()->set_name(name);
    message.mutable_service_call()->set_timeout_ms(timeout_ms);
  });
}

std::string PingBytes() {
  return RawClient::Encoded([](v1::Envelope& message) { message.mutable_ping(); });
}

TEST(ServiceTest, ListBringsEveryFieldOfARow) {
  const AgentRig rig;
  ScriptedPid1 pid1(rig.service_path(), [](const Asked&, UniqueFd& fd) {
    ServiceRow web = Row("web");
    web.state = ServiceState::kBackoff;
    web.health = ServiceHealth::kUnhealthy;
    web.pid = 77;
    web.restarts = 3;
    web.exit_code = 0;
    web.main = 1;
    web.wanted_ns = 500'000'999;
    web.start_ns = 600'000'000;
    web.ready_ns = 700'000'000;
    web.restart_ns = 800'000'000;
    web.first_ready_ns = 650'000'000;
    std::strcpy(web.waits_for, "db");
    std::strcpy(web.detail, "port 80");
    ScriptedPid1::Send(fd, web);
    ServiceRow db = Row("db");
    db.exit_signal = 9;
    ScriptedPid1::Send(fd, db);
    ScriptedPid1::Send(fd, 0);
  });
  RawClient client(rig.Connect());
  client.SendBytes(HelloBytes() + CallBytes(v1::ServiceCall::LIST, ""));
  const v1::Envelope answer = client.ReadMessage();
  ASSERT_TRUE(answer.has_service_reply());
  const auto& reply = answer.service_reply();
  EXPECT_EQ(reply.errnum(), 0);
  EXPECT_GT(reply.monotonic_us(), 0u);
  ASSERT_EQ(reply.services_size(), 2);
  const Service& web = reply.services(0);
  EXPECT_EQ(web.name(), "web");
  EXPECT_EQ(web.state(), Service::BACKOFF);
  EXPECT_EQ(web.health(), Service::UNHEALTHY);
  EXPECT_EQ(web.pid(), 77u);
  EXPECT_EQ(web.restarts(), 3u);
  EXPECT_EQ(web.last_exit_case(), Service::kCode);
  EXPECT_TRUE(web.main());
  EXPECT_FALSE(web.oneshot());
  EXPECT_EQ(web.wanted_us(), 500'000u);
  EXPECT_EQ(web.start_us(), 600'000u);
  EXPECT_EQ(web.ready_us(), 700'000u);
  EXPECT_EQ(web.restart_us(), 800'000u);
  EXPECT_EQ(web.first_ready_us(), 650'000u);
  EXPECT_EQ(web.waits_for(), "db");
  EXPECT_EQ(web.detail(), "port 80");
  EXPECT_EQ(reply.services(1).signal(), 9u);
}

TEST(ServiceTest, PidOneIsAskedWhatTheHostAsks) {
  const AgentRig rig;
  ScriptedPid1 pid1(rig.service_path(), [](const Asked&, UniqueFd& fd) {
    ScriptedPid1::Send(fd, ENOENT, "no service is named 'wep'");
  });
  RawClient client(rig.Connect());
  client.SendBytes(HelloBytes() + CallBytes(v1::ServiceCall::RESTART, "wep"));
  const auto reply = client.ReadMessage().service_reply();
  EXPECT_EQ(reply.errnum(), ENOENT);
  EXPECT_EQ(reply.message(), "no service is named 'wep'");
  const Asked asked = pid1.Next();
  EXPECT_EQ(asked.request.verb, ServiceVerb::kRestart);
  EXPECT_STREQ(asked.request.name, "wep");
  EXPECT_EQ(asked.request.timeout_ms, 1234);
  // Short calls may follow each other, this one too.
  client.SendBytes(PingBytes());
  EXPECT_TRUE(client.ReadMessage().has_pong());
}

TEST(ServiceTest, ACallThatTakesLongHoldsUpNoOther) {
  const AgentRig rig;
  std::promise<UniqueFd> held;
  ScriptedPid1 pid1(rig.service_path(),
                    [&](const Asked&, UniqueFd& fd) { held.set_value(std::move(fd)); });
  RawClient slow(rig.Connect());
  slow.SendBytes(HelloBytes() + CallBytes(v1::ServiceCall::START, "web"));
  const UniqueFd pid1_end = held.get_future().get();
  RawClient quick(rig.Connect());
  quick.SendBytes(HelloBytes() + PingBytes());
  EXPECT_TRUE(quick.ReadMessage().has_pong());
  // Its Hello is there, its answer is not.
  const auto hello = slow.Read();
  ASSERT_TRUE(hello && hello->message.has_hello());
  ScriptedPid1::Send(pid1_end, 0);
  EXPECT_TRUE(slow.ReadMessage().has_service_reply());
}

// A call that PID 1 has and does not answer.
struct HeldCall {
  HeldCall() {
    client.SendBytes(HelloBytes() + CallBytes(v1::ServiceCall::STOP, "web", 3'600'000));
    pid1_end = held.get_future().get();
  }
  void ExpectPidOneLetGo() const {
    pollfd watched{pid1_end.get(), POLLIN | POLLHUP, 0};
    EXPECT_EQ(poll(&watched, 1, 60'000), 1) << "the agent still waits for PID 1";
  }

  AgentRig rig;
  std::promise<UniqueFd> held;
  ScriptedPid1 pid1{rig.service_path(),
                    [this](const Asked&, UniqueFd& fd) { held.set_value(std::move(fd)); }};
  RawClient client{rig.Connect()};
  UniqueFd pid1_end;
};

TEST(ServiceTest, AHostThatLeavesFreesItsPlaceAtPidOne) {
  HeldCall call;
  call.client.Close();
  call.ExpectPidOneLetGo();
  EXPECT_TRUE(Eventually([&] { return call.rig.Connections() == 0; }));
}

TEST(ServiceTest, AHostThatLeavesWithAnotherCallOnItsWayFreesItsPlaceToo) {
  HeldCall call;
  call.client.SendBytes(PingBytes());
  // The agent has seen it when it has answered another that came later.
  RawClient other(call.rig.Connect());
  other.SendBytes(HelloBytes() + PingBytes());
  EXPECT_TRUE(other.ReadMessage().has_pong());
  call.client.Close();
  call.ExpectPidOneLetGo();
}

TEST(ServiceTest, AnotherPidOneIsSaidToBeNone) {
  const AgentRig rig;
  RawClient client(rig.Connect());
  client.SendBytes(HelloBytes() + CallBytes(v1::ServiceCall::LIST, ""));
  const v1::Failure failure = client.ReadFailure();
  EXPECT_EQ(failure.step(), "service");
  EXPECT_EQ(failure.errnum(), ENOENT);
  EXPECT_THAT(failure.hint(), HasSubstr("berth-init is not PID 1"));
}

TEST(ServiceTest, PidOneThatClosesWithoutAWordIsAFailure) {
  const AgentRig rig;
  ScriptedPid1 pid1(rig.service_path(), [](const Asked&, UniqueFd&) {});
  RawClient client(rig.Connect());
  client.SendBytes(HelloBytes() + CallBytes(v1::ServiceCall::LIST, ""));
  EXPECT_EQ(client.ReadFailure().errnum(), ECONNRESET);
}

TEST(ServiceTest, MoreRowsThanTheBoundAreCut) {
  const AgentRig rig;
  ScriptedPid1 pid1(rig.service_path(), [](const Asked&, UniqueFd& fd) {
    for (int i = 0; i < wire::kMaxServices + 10; ++i) {
      ScriptedPid1::Send(fd, Row("s" + std::to_string(i)));
    }
    ScriptedPid1::Send(fd, 0);
  });
  RawClient client(rig.Connect());
  client.SendBytes(HelloBytes() + CallBytes(v1::ServiceCall::LIST, ""));
  EXPECT_EQ(client.ReadMessage().service_reply().services_size(), wire::kMaxServices);
}

TEST(ServiceTest, ImpossibleCallsDoNotReachPidOne) {
  const AgentRig rig;
  for (const std::string& bytes :
       {CallBytes(v1::ServiceCall::VERB_NONE, "a"),
        CallBytes(static_cast<v1::ServiceCall::Verb>(7), "a"),
        CallBytes(v1::ServiceCall::START, ""), CallBytes(v1::ServiceCall::LIST, "a"),
        CallBytes(v1::ServiceCall::START, std::string(64, 'x')),
        CallBytes(v1::ServiceCall::START, std::string("a\0b", 3)),
        CallBytes(v1::ServiceCall::START, "a", 3'600'001)}) {
    RawClient client(rig.Connect());
    client.SendBytes(HelloBytes() + bytes);
    EXPECT_EQ(client.ReadFailure().errnum(), EINVAL);
  }
}

TEST(ServiceTest, AHostOfGenerationOneHasNoSuchCall) {
  const AgentRig rig;
  RawClient client(rig.Connect());
  client.SendBytes(HelloBytes(1) + CallBytes(v1::ServiceCall::LIST, ""));
  EXPECT_EQ(client.ReadFailure().errnum(), EPROTO);
}

}  // namespace
}  // namespace berth::testing
