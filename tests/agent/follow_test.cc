// SPDX-License-Identifier: Apache-2.0
//
// Following a guest: its events reach the host, the host's configuration reaches PID 1.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <vector>

#include "protocol/wire/limits.h"
#include "supervisor/guest/dial.h"
#include "tests/agent/agent_rig.h"
#include "tests/agent/raw_client.h"
#include "tests/agent/scripted_pid1.h"

namespace berth::testing {
namespace {

using ::testing::HasSubstr;
using GoingDown = v1::GuestEvent::GoingDown;

// An agent that has its boot record: what PID 1 sends from here on is for the host.
class BootedRig : public AgentRig {
 public:
  BootedRig() { SendControl({.kind = ControlKind::kBootPhasesEnd, .agent_starts = 1}); }
};

std::string HelloBytes(uint32_t generation = 2) { return RawClient::Hello(generation); }

std::string FollowBytes(std::optional<std::string> toml = std::nullopt) {
  return RawClient::Encoded([&](v1::Envelope& message) {
    auto* follow = message.mutable_follow();
    if (toml) follow->mutable_configure()->set_toml(*toml);
  });
}

void Ack(RawClient& client, uint64_t seq) {
  v1::Envelope message;
  message.mutable_guest_event_ack()->set_seq(seq);
  client.Send(message);
}

RawClient Follow(const AgentRig& rig, std::optional<std::string> toml = std::nullopt) {
  RawClient client(rig.Connect());
  client.SendBytes(HelloBytes() + FollowBytes(std::move(toml)));
  EXPECT_TRUE(client.ReadMessage().has_following());
  return client;
}

ControlPacket MainEnded(int code) {
  ControlPacket packet{.kind = ControlKind::kGoingDown,
                       .mode = ShutdownMode::kPowerOff,
                       .cause = ShutdownCause::kMain,
                       .main_exit_code = code};
  std::snprintf(packet.name, sizeof(packet.name), "web");
  return packet;
}

// The host's Ready port.
class Bell {
 public:
  explicit Bell(const AgentRig& rig) : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const auto endpoint = guest::UnixEndpoint(rig.ready_path()).value();
    EXPECT_EQ(bind(fd_.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())), 0);
    EXPECT_EQ(listen(fd_.get(), 1), 0);
  }

  // Once. The agent has heard the answer when this returns.
  void Answer(uint32_t generation, bool configure_follows) const {
    RawClient caller(UniqueFd(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC)));
    EXPECT_TRUE(caller.ReadMessage().has_ready());
    v1::Envelope ack;
    ack.mutable_ready_ack()->set_configure_follows(configure_follows);
    caller.SendBytes(HelloBytes(generation));
    caller.Send(ack);
    EXPECT_FALSE(caller.Read());
  }

 private:
  UniqueFd fd_;
};

void HearReady(const AgentRig& rig, uint32_t generation, bool configure_follows) {
  Bell(rig).Answer(generation, configure_follows);
}

TEST(FollowTest, PingsAreAnsweredOnAConnectionThatFollows) {
  const BootedRig rig;
  RawClient client = Follow(rig);
  v1::Envelope ping;
  ping.mutable_ping()->set_payload("there?");
  client.Send(ping);
  EXPECT_EQ(client.ReadMessage().pong().payload(), "there?");
}

TEST(FollowTest, TheExitReportReachesTheHostAndTheAgentEndsOnceItIsHeard) {
  BootedRig rig;
  RawClient client = Follow(rig);
  rig.SendControl(MainEnded(3));
  const v1::GuestEvent event = client.ReadMessage().guest_event();
  EXPECT_EQ(event.seq(), 1u);
  EXPECT_GT(event.monotonic_us(), 0u);
  ASSERT_TRUE(event.has_going_down());
  EXPECT_EQ(event.going_down().cause(), GoingDown::MAIN);
  EXPECT_EQ(event.going_down().name(), "web");
  EXPECT_EQ(event.going_down().code(), 3u);
  Ack(client, event.seq());
  rig.Terminate();
  rig.Join();
}

TEST(FollowTest, TheExitReportGoesOutAlsoWhereTheSignalCameRightBehindIt) {
  BootedRig rig;
  RawClient client = Follow(rig);
  rig.SendControl(MainEnded(0));
  rig.Terminate();
  const v1::GuestEvent event = client.ReadMessage().guest_event();
  EXPECT_EQ(event.going_down().main_exit_case(), GoingDown::kCode);
  Ack(client, event.seq());
  rig.Join();
}

TEST(FollowTest, AHostThatSaysNothingHoldsTheAgentUpForLessThanASecond) {
  BootedRig rig;
  RawClient client = Follow(rig);
  rig.SendControl(MainEnded(0));
  EXPECT_TRUE(client.ReadMessage().has_guest_event());
  const auto begin = std::chrono::steady_clock::now();
  rig.Terminate();
  rig.Join();
  EXPECT_GE(std::chrono::steady_clock::now() - begin, wire::kEventAckTimeout);
}

TEST(FollowTest, WithoutAnyoneWhoFollowsTheAgentEndsAtOnce) {
  BootedRig rig;
  rig.SendControl(MainEnded(0));
  const auto begin = std::chrono::steady_clock::now();
  rig.Terminate();
  rig.Join();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, wire::kEventAckTimeout);
}

TEST(FollowTest, TheExitReportWaitsForAHostThatHeardReadyAndHasYetToFollow) {
  BootedRig rig;
  HearReady(rig, 2, false);
  rig.SendControl(MainEnded(5));
  rig.Terminate();
  RawClient client = Follow(rig);
  const v1::GuestEvent event = client.ReadMessage().guest_event();
  EXPECT_EQ(event.going_down().code(), 5u);
  Ack(client, event.seq());
  rig.Join();
}

TEST(FollowTest, TheExitReportWaitsForAHostThatHasYetToAnswerReady) {
  AgentRig rig;
  const Bell bell(rig);
  rig.SendControl({.kind = ControlKind::kBootPhasesEnd, .agent_starts = 1});
  rig.SendControl(MainEnded(5));
  rig.Terminate();
  bell.Answer(2, false);
  RawClient client = Follow(rig);
  const v1::GuestEvent event = client.ReadMessage().guest_event();
  EXPECT_EQ(event.going_down().code(), 5u);
  Ack(client, event.seq());
  rig.Join();
}

TEST(FollowTest, AHostOfGenerationOneIsNotWaitedFor) {
  BootedRig rig;
  HearReady(rig, 1, false);
  rig.SendControl(MainEnded(0));
  const auto begin = std::chrono::steady_clock::now();
  rig.Terminate();
  rig.Join();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, wire::kEventAckTimeout);
}

TEST(FollowTest, AnEventIsSentAgainUntilItWasHeard) {
  const BootedRig rig;
  RawClient first = Follow(rig);
  ControlPacket packet{.kind = ControlKind::kGoingDown,
                       .mode = ShutdownMode::kReboot,
                       .cause = ShutdownCause::kSignal};
  std::snprintf(packet.name, sizeof(packet.name), "SIGTERM");
  rig.SendControl(packet);
  EXPECT_EQ(first.ReadMessage().guest_event().going_down().cause(), GoingDown::SIGNAL);
  first.Close();
  RawClient second = Follow(rig);
  const v1::GuestEvent event = second.ReadMessage().guest_event();
  EXPECT_EQ(event.seq(), 1u);
  EXPECT_EQ(event.going_down().mode(), v1::Shutdown::REBOOT);
  EXPECT_EQ(event.going_down().name(), "SIGTERM");
  EXPECT_EQ(event.going_down().main_exit_case(), GoingDown::MAIN_EXIT_NOT_SET);
  Ack(second, event.seq());
  // Heard: the third does not get it, only what it asks for.
  RawClient third = Follow(rig);
  v1::Envelope ping;
  ping.mutable_ping();
  third.Send(ping);
  EXPECT_TRUE(third.ReadMessage().has_pong());
}

TEST(FollowTest, OneMoreThanTheBoundClosesTheOldest) {
  const BootedRig rig;
  std::vector<RawClient> followers;
  for (int i = 0; i < wire::kMaxFollowers + 1; ++i) followers.push_back(Follow(rig));
  EXPECT_FALSE(followers.front().Read());
  rig.SendControl(MainEnded(0));
  for (int i = 1; i <= wire::kMaxFollowers; ++i) {
    EXPECT_TRUE(followers[static_cast<size_t>(i)].ReadMessage().has_guest_event());
  }
}

TEST(FollowTest, AnythingElseOnAConnectionThatFollowsEndsIt) {
  const BootedRig rig;
  RawClient client = Follow(rig);
  client.SendBytes(FollowBytes());
  EXPECT_FALSE(client.Read());
}

TEST(FollowTest, AHostOfGenerationOneHasNoFollow) {
  const BootedRig rig;
  RawClient client(rig.Connect());
  client.SendBytes(HelloBytes(1) + FollowBytes());
  EXPECT_EQ(client.ReadFailure().errnum(), EPROTO);
}

// --- Configure ---

TEST(ConfigureTest, TheHostsTextReachesPidOneOnce) {
  const BootedRig rig;
  ScriptedPid1 pid1(rig.service_path(),
                    [](const Asked&, UniqueFd& fd) { ScriptedPid1::Send(fd, 0); });
  HearReady(rig, 2, true);
  const std::string toml(kMaxConfigureBytes, '#');
  RawClient first = Follow(rig, toml);
  const Asked asked = pid1.Next();
  EXPECT_EQ(asked.request.verb, ServiceVerb::kConfigure);
  EXPECT_EQ(asked.text, toml);
  // What comes with a later Follow is the same, and is not brought again: the next that PID 1 hears
  // of is a call.
  RawClient second = Follow(rig, "other = 1\n");
  RawClient third(rig.Connect());
  v1::Envelope list;
  list.mutable_service_call()->set_verb(v1::ServiceCall::LIST);
  third.SendBytes(HelloBytes());
  third.Send(list);
  EXPECT_TRUE(third.ReadMessage().has_service_reply());
  EXPECT_EQ(pid1.Next().request.verb, ServiceVerb::kList);
}

TEST(ConfigureTest, AHostThatHasNoneLetsPidOneGoOn) {
  for (const uint32_t generation : {1u, 2u}) {
    const BootedRig rig;
    ScriptedPid1 pid1(rig.service_path(),
                      [](const Asked&, UniqueFd& fd) { ScriptedPid1::Send(fd, 0); });
    HearReady(rig, generation, false);
    const Asked asked = pid1.Next();
    EXPECT_EQ(asked.request.verb, ServiceVerb::kConfigure);
    EXPECT_EQ(asked.text, "");
  }
}

TEST(ConfigureTest, WhatPidOneRefusesIsAnEvent) {
  const BootedRig rig;
  ScriptedPid1 pid1(rig.service_path(), [](const Asked&, UniqueFd& fd) {
    ScriptedPid1::Send(fd, EINVAL, "2:1: unknown key 'hostnam'; did you mean 'hostname'?");
  });
  RawClient client = Follow(rig, "x = 1\n");
  const v1::GuestEvent event = client.ReadMessage().guest_event();
  EXPECT_EQ(event.configure_refused().errnum(), EINVAL);
  EXPECT_THAT(event.configure_refused().mistakes(), HasSubstr("'hostnam'"));
}

TEST(ConfigureTest, OneThatIsThereAlreadyIsNoMistake) {
  const BootedRig rig;
  ScriptedPid1 pid1(rig.service_path(),
                    [](const Asked&, UniqueFd& fd) { ScriptedPid1::Send(fd, EALREADY); });
  RawClient client = Follow(rig, "x = 1\n");
  pid1.Next();
  rig.SendControl(MainEnded(0));
  EXPECT_TRUE(client.ReadMessage().guest_event().has_going_down());
}

TEST(ConfigureTest, ABusyPidOneIsAskedAgain) {
  const BootedRig rig;
  int refusals = 2;
  ScriptedPid1 pid1(rig.service_path(), [&](const Asked&, UniqueFd& fd) {
    ScriptedPid1::Send(fd, refusals-- > 0 ? EAGAIN : 0);
  });
  RawClient client = Follow(rig, "x = 1\n");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(pid1.Next().text, "x = 1\n");
}

TEST(ConfigureTest, OneThatWasNeverTakenIsBroughtAgainByTheNextFollow) {
  const BootedRig rig;
  std::atomic<bool> busy = true;
  ScriptedPid1 pid1(rig.service_path(),
                    [&](const Asked&, UniqueFd& fd) { ScriptedPid1::Send(fd, busy ? EAGAIN : 0); });
  RawClient first = Follow(rig, "x = 1\n");
  EXPECT_EQ(first.ReadMessage().guest_event().configure_refused().errnum(), EAGAIN);
  busy = false;
  RawClient second = Follow(rig, "x = 2\n");
  while (pid1.Next().text != "x = 2\n") continue;
}

TEST(ConfigureTest, AnotherPidOneThanBerthInitIsSaidToBeNone) {
  const BootedRig rig;
  RawClient client = Follow(rig, "x = 1\n");
  const auto refused = client.ReadMessage().guest_event().configure_refused();
  EXPECT_EQ(refused.errnum(), ENOENT);
  EXPECT_THAT(refused.mistakes(), HasSubstr("berth-init is not PID 1"));
}

TEST(ConfigureTest, OneThatIsTooLongIsRefused) {
  const BootedRig rig;
  RawClient client(rig.Connect());
  client.SendBytes(HelloBytes() + FollowBytes(std::string(kMaxConfigureBytes + 1, '#')));
  EXPECT_EQ(client.ReadFailure().errnum(), EMSGSIZE);
}

}  // namespace
}  // namespace berth::testing
