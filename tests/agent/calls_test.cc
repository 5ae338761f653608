// SPDX-License-Identifier: Apache-2.0
//
// Handshake, short calls, Ready and strangers: the agent with its client, and with raw bytes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>

#include "protocol/base/io.h"
#include "protocol/wire/channel.h"
#include "protocol/wire/handshake.h"
#include "supervisor/guest/call.h"
#include "supervisor/guest/dial.h"
#include "supervisor/guest/ready_listener.h"
#include "tests/agent/agent_rig.h"
#include "tests/agent/raw_client.h"
#include "tests/agent/scripted_device.h"

namespace berth::testing {
namespace {

namespace asio = boost::asio;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

// Runs one coroutine to its end in this thread.
template <typename T>
T Await(asio::io_context& context, asio::awaitable<T> coroutine) {
  std::optional<T> result;
  const auto run = [&]() -> asio::awaitable<void> {
    result.emplace(co_await std::move(coroutine));
  };
  asio::co_spawn(context, run(), asio::detached);
  context.restart();
  while (!result && context.run_one() > 0) {
  }
  return std::move(*result);
}

std::string HelloBytes(uint32_t oldest, uint32_t newest) {
  return RawClient::Encoded([&](v1::Envelope& message) {
    message.mutable_hello()->set_generation(newest);
    message.mutable_hello()->set_oldest_generation(oldest);
    message.mutable_hello()->set_build_id("test");
  });
}

std::string PingBytes(std::string_view payload) {
  return RawClient::Encoded(
      [&](v1::Envelope& message) { message.mutable_ping()->set_payload(std::string(payload)); });
}

TEST(CallsTest, AgentAnswersTheHelloAlsoWithoutARequestBehindIt) {
  const AgentRig rig;
  RawClient client(rig.Connect());
  client.SendBytes(HelloBytes(1, 1));
  const auto frame = client.Read();
  ASSERT_TRUE(frame);
  ASSERT_TRUE(frame->message.has_hello());
  EXPECT_EQ(frame->message.hello().generation(), wire::kGeneration);
  EXPECT_EQ(frame->message.hello().boot_id().size(), 16u);
  EXPECT_EQ(frame->message.hello().instance_id().size(), 16u);
}

TEST(CallsTest, ShortCallsFollowEachOtherOnOneConnection) {
  const AgentRig rig;
  RawClient client(rig.Connect());
  client.SendBytes(HelloBytes(1, 1) + PingBytes("one") + PingBytes("two"));
  EXPECT_EQ(client.ReadMessage().pong().payload(), "one");
  EXPECT_EQ(client.ReadMessage().pong().payload(), "two");
  client.SendBytes(PingBytes("three"));
  EXPECT_EQ(client.ReadMessage().pong().payload(), "three");
}

TEST(CallsTest, ExecMayFollowACall) {
  const AgentRig rig;
  RawClient client(rig.Connect());
  client.SendBytes(HelloBytes(1, 1) + PingBytes("x"));
  EXPECT_TRUE(client.ReadMessage().has_pong());
  v1::Envelope message;
  *message.mutable_exec_start() = Shell("exit 11");
  client.Send(message);
  client.ReadStarted();
  EXPECT_EQ(client.ReadUntilExited().code(), 11u);
}

TEST(CallsTest, ANewerHostThatStillSpeaksOurGenerationIsAnswered) {
  const AgentRig rig;
  RawClient client(rig.Connect());
  client.SendBytes(HelloBytes(1, 1000) + PingBytes("new"));
  EXPECT_EQ(client.ReadMessage().pong().payload(), "new");
}

TEST(CallsTest, NoCommonGenerationIsAFailureThatNamesBoth) {
  const AgentRig rig;
  RawClient client(rig.Connect());
  client.SendBytes(HelloBytes(7, 9) + PingBytes("x"));
  const v1::Failure failure = client.ReadFailure();
  EXPECT_EQ(failure.errnum(), EPROTONOSUPPORT);
  EXPECT_THAT(failure.detail(), HasSubstr("7–9"));
  EXPECT_FALSE(client.Read());
}

TEST(CallsTest, StrangersAreClosedWithoutAnAnswer) {
  AgentRig rig;
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.0\r\n\r\n"), std::string("\xff\xff\xff\x7f\x01\0\0\0", 8),
        PingBytes("no hello"), HelloBytes(0, 0)}) {
    RawClient client(rig.Connect());
    client.SendBytes(bytes);
    const auto frame = client.Read();
    // A bad Hello is answered, with a reason; anything else is not.
    if (frame) EXPECT_TRUE(frame->message.has_hello());
    while (client.Read()) {
    }
  }
  EXPECT_TRUE(Eventually([&] { return rig.Connections() == 0; }));
}

TEST(CallsTest, OversizePingFails) {
  const AgentRig rig;
  RawClient client(rig.Connect());
  client.SendBytes(HelloBytes(1, 1) + PingBytes(std::string(wire::kMaxPingBytes + 1, 'x')));
  EXPECT_EQ(client.ReadFailure().errnum(), EMSGSIZE);
}

TEST(CallsTest, MoreConnectionsThanTheCapWaitTheirTurn) {
  AgentRig rig;
  std::vector<UniqueFd> silent;
  for (int i = 0; i < agent::Agent::kMaxConnections; ++i) silent.push_back(rig.Connect());
  ASSERT_TRUE(Eventually([&] { return rig.Connections() == agent::Agent::kMaxConnections; }));
  RawClient late(rig.Connect());
  late.SendBytes(HelloBytes(1, 1) + PingBytes("late"));
  EXPECT_EQ(rig.Connections(), agent::Agent::kMaxConnections);
  silent.pop_back();
  EXPECT_EQ(late.ReadMessage().pong().payload(), "late");
}

TEST(CallsTest, PingThroughTheDevice) {
  const AgentRig rig;
  const ScriptedDevice device(rig.vsock_path(), rig.agent_path());
  asio::io_context context;
  const auto reply = Await(
      context, guest::Ping(context.get_executor(), rig.vsock_path(), Deadline::In(kPatience)));
  ASSERT_TRUE(reply) << reply.error().Message();
  EXPECT_GT(reply->guest_monotonic_us, 0u);
  EXPECT_EQ(reply->hello.boot_id().size(), 16u);
}

TEST(CallsTest, ShutdownReachesPid1) {
  const AgentRig rig;
  const ScriptedDevice device(rig.vsock_path(), rig.agent_path());
  asio::io_context context;
  const auto done =
      Await(context, guest::Shutdown(context.get_executor(), rig.vsock_path(), v1::Shutdown::REBOOT,
                                     2500, Deadline::In(kPatience)));
  ASSERT_TRUE(done) << done.error().Message();
  ControlPacket packet;
  ASSERT_EQ(recv(rig.control(), &packet, sizeof(packet), MSG_DONTWAIT),
            static_cast<ssize_t>(sizeof(packet)));
  EXPECT_EQ(packet.kind, ControlKind::kShutdown);
  EXPECT_EQ(packet.mode, ShutdownMode::kReboot);
  EXPECT_EQ(packet.grace_ms, 2500);
}

TEST(CallsTest, NothingIsStartedWhileTheGuestShutsDown) {
  const AgentRig rig;
  rig.SendControl({.kind = ControlKind::kBootPhasesEnd});
  rig.SendControl({.kind = ControlKind::kShuttingDown});
  ASSERT_TRUE(Eventually([&] {
    const Finished run = rig.Run(Command({"true"}));
    return !run.outcome && run.outcome.error().errnum == ESHUTDOWN;
  }));
}

// --- Ready ---

void SendTimeline(const AgentRig& rig) {
  ControlPacket phase{.kind = ControlKind::kBootPhase, .monotonic_ns = 123'456'789};
  std::snprintf(phase.name, sizeof(phase.name), "mounts");
  rig.SendControl(phase);
  rig.SendControl({.kind = ControlKind::kBootPhasesEnd, .agent_starts = 3});
}

TEST(ReadyTest, TellsTheTimelineOnce) {
  const AgentRig rig;
  asio::io_context context;
  const auto listener =
      guest::ReadyListener::Bind(context.get_executor(), rig.vsock_path()).value();
  SendTimeline(rig);
  const auto report = Await(context, listener->Wait(Deadline::In(kPatience)));
  ASSERT_TRUE(report) << report.error().Message();
  ASSERT_EQ(report->ready.phases_size(), 1);
  EXPECT_EQ(report->ready.phases(0).name(), "mounts");
  EXPECT_EQ(report->ready.phases(0).monotonic_us(), 123'456u);
  EXPECT_EQ(report->ready.agent_starts(), 3u);
  EXPECT_EQ(report->generation, wire::kGeneration);
  EXPECT_FALSE(report->ready.kernel_release().empty());
  const auto again = Await(context, listener->Wait(Deadline::In(300ms)));
  ASSERT_FALSE(again) << "Ready is said once";
  EXPECT_EQ(again.error().errnum, ETIMEDOUT);
}

TEST(ReadyTest, IsSaidAgainWhereTheHostDidNotHear) {
  const AgentRig rig;
  {
    const auto endpoint = guest::UnixEndpoint(rig.ready_path()).value();
    const UniqueFd deaf(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(bind(deaf.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())), 0);
    ASSERT_EQ(listen(deaf.get(), 1), 0);
    SendTimeline(rig);
    EXPECT_TRUE(UniqueFd(accept(deaf.get(), nullptr, nullptr)));
  }
  asio::io_context context;
  const auto listener =
      guest::ReadyListener::Bind(context.get_executor(), rig.vsock_path()).value();
  EXPECT_TRUE(Await(context, listener->Wait(Deadline::In(kPatience))));
}

TEST(ReadyTest, SilentAndHostileCallersDoNotKeepTheAgentOut) {
  const AgentRig rig;
  asio::io_context context;
  const auto listener =
      guest::ReadyListener::Bind(context.get_executor(), rig.vsock_path()).value();
  const auto endpoint = guest::UnixEndpoint(rig.ready_path()).value();
  std::vector<UniqueFd> hostile;
  for (int i = 0; i < guest::ReadyListener::kMaxCallers + 2; ++i) {
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(fd.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())), 0);
    if (i % 2 == 0) {
      ASSERT_TRUE(WriteFull(fd.get(), std::string_view("\xff\xff\xff\xff garbage"),
                            Deadline::In(kPatience)));
    }
    hostile.push_back(std::move(fd));
  }
  SendTimeline(rig);
  const auto report = Await(context, listener->Wait(Deadline::In(kPatience)));
  ASSERT_TRUE(report) << report.error().Message();
}

// A host that listens, and a guest that has dialled.
struct OneRing {
  OneRing() {
    const auto endpoint = guest::UnixEndpoint(listener->path()).value();
    EXPECT_EQ(connect(caller.fd(), endpoint.data(), static_cast<socklen_t>(endpoint.size())), 0);
  }
  auto Wait(std::chrono::nanoseconds patience) {
    return Await(context, listener->Wait(Deadline::In(patience)));
  }

  TempDir dir;
  asio::io_context context;
  std::unique_ptr<guest::ReadyListener> listener =
      guest::ReadyListener::Bind(context.get_executor(), dir / "vsock.sock").value();
  RawClient caller{UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))};
};

TEST(ReadyTest, AnotherGenerationIsAnErrorAtOnce) {
  OneRing ring;
  ring.caller.SendBytes(HelloBytes(40, 42));
  const auto report = ring.Wait(kPatience);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().errnum, EPROTONOSUPPORT);
  EXPECT_THAT(report.error().detail, HasSubstr("40–42"));
  EXPECT_EQ(ring.caller.ReadFailure().errnum(), EPROTONOSUPPORT);
}

TEST(ReadyTest, TimeoutNamesTheCallersThatWereRefused) {
  OneRing ring;
  ring.caller.SendBytes(PingBytes("who?"));
  const auto report = ring.Wait(200ms);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().errnum, ETIMEDOUT);
  EXPECT_THAT(report.error().detail, HasSubstr("1 other connections came"));
}

// Callers at the port, who are heard by turns of the context.
class ReadyCrowd {
 public:
  explicit ReadyCrowd(const std::string& vsock_path)
      : listener_(guest::ReadyListener::Bind(context_.get_executor(), vsock_path).value()) {
    asio::co_spawn(
        context_,
        [](guest::ReadyListener& listener) -> asio::awaitable<void> {
          [[maybe_unused]] const auto heard = co_await listener.Wait(Deadline::In(kPatience));
        }(*listener_),
        asio::detached);
  }

  void Come() {
    const auto endpoint = guest::UnixEndpoint(listener_->path()).value();
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(fd.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())), 0);
    callers_.push_back(std::move(fd));
  }
  void Turn() {
    while (context_.poll() > 0) continue;
  }
  size_t Closed() const {
    size_t closed = 0;
    for (const UniqueFd& each : callers_) {
      pollfd watched{each.get(), POLLIN, 0};
      closed += poll(&watched, 1, 0) == 1 ? 1 : 0;
    }
    return closed;
  }

 private:
  asio::io_context context_;
  std::unique_ptr<guest::ReadyListener> listener_;
  std::vector<UniqueFd> callers_;
};

TEST(ReadyTest, ABurstOfCallersLeavesNoMoreThanTheBound) {
  constexpr size_t kBurst = 15;
  const TempDir dir;
  ReadyCrowd crowd(dir / "vsock.sock");
  for (size_t i = 0; i < kBurst; ++i) crowd.Come();
  crowd.Turn();
  EXPECT_EQ(crowd.Closed(), kBurst - guest::ReadyListener::kMaxCallers);
}

TEST(ReadyTest, MoreCallersThanTheBudgetOfASecondWait) {
  constexpr size_t kMoreThanBudget = guest::ReadyListener::kMaxCallsPerSecond + 1;
  const TempDir dir;
  ReadyCrowd crowd(dir / "vsock.sock");
  const auto begin = std::chrono::steady_clock::now();
  for (size_t i = 0; i < kMoreThanBudget; ++i) {
    crowd.Come();
    crowd.Turn();
  }
  EXPECT_TRUE(Eventually([&] {
    crowd.Turn();
    return crowd.Closed() == kMoreThanBudget - guest::ReadyListener::kMaxCallers;
  }));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 200ms);
}

TEST(ReadyTest, AMessageLargerThanAReadyIsRefusedByItsHeader) {
  OneRing ring;
  const auto header = wire::EncodeHeader(
      {wire::FrameKind::kMessage, {}, static_cast<uint32_t>(wire::kMaxReadyBytes + 1)});
  ring.caller.SendBytes({reinterpret_cast<const char*>(header.data()), header.size()});
  const auto report = ring.Wait(200ms);
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().detail, HasSubstr("the limit is 65536"));
}

TEST(ReadyTest, ATimeThatNoClockShowsIsRefused) {
  v1::Ready ready;
  ready.set_sent_monotonic_us(INT64_MAX / 1000);
  EXPECT_TRUE(guest::CheckReady(ready));
  ready.set_sent_monotonic_us(uint64_t{1} << 63);
  EXPECT_FALSE(guest::CheckReady(ready));
  ready.set_sent_monotonic_us(1);
  ready.add_phases()->set_monotonic_us(UINT64_MAX);
  EXPECT_FALSE(guest::CheckReady(ready));
}

// --- Calls of a later generation ---

TEST(GenerationTest, AnAgentThatHasNoServiceCallsIsNamedWithWhatItSpeaks) {
  const TempDir dir;
  const ScriptedDevice device(dir / "vsock.sock",
                              ScriptedDevice::Answer{"OK 1\n" + HelloBytes(1, 1), true});
  asio::io_context context;
  v1::Envelope call;
  call.mutable_service_call()->set_verb(v1::ServiceCall::LIST);
  const auto reply =
      Await(context, guest::Call(context.get_executor(), dir / "vsock.sock", std::move(call),
                                 wire::kServiceGeneration, v1::Envelope::kServiceReply,
                                 Deadline::In(kPatience)));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().step, Step("guest"));
  EXPECT_EQ(reply.error().errnum, EPROTONOSUPPORT);
  EXPECT_THAT(reply.error().detail, HasSubstr("build test"));
  EXPECT_THAT(reply.error().detail, HasSubstr("generation 1"));
}

// --- Dial ---

Result<wire::Socket> DialScript(const std::string& answer, std::chrono::nanoseconds patience) {
  const TempDir dir;
  const ScriptedDevice device(dir / "vsock.sock", ScriptedDevice::Answer{answer});
  asio::io_context context;
  return Await(context, guest::Dial(context.get_executor(), dir / "vsock.sock", 1023,
                                    Deadline::In(patience)));
}

TEST(DialTest, TakesNothingBehindTheReply) {
  const TempDir dir;
  const ScriptedDevice device(dir / "vsock.sock", ScriptedDevice::Answer{"OK 1073741824\nfirst"});
  asio::io_context context;
  auto socket = Await(context, guest::Dial(context.get_executor(), dir / "vsock.sock", 1023,
                                           Deadline::In(kPatience)));
  ASSERT_TRUE(socket) << socket.error().Message();
  std::byte first[5];
  ASSERT_TRUE(ReadFull(socket->native_handle(), first, Deadline::In(kPatience)));
  EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(first), 5), "first");
}

TEST(DialTest, MissingDeviceAndDeadDeviceAreToldApartFromDeadAgent) {
  const TempDir dir;
  asio::io_context context;
  const auto missing = Await(context, guest::Dial(context.get_executor(), dir / "vsock.sock", 1023,
                                                  Deadline::In(kPatience)));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().step, Step("dial-connect"));
  EXPECT_EQ(missing.error().errnum, ENOENT);

  const auto nobody = DialScript("", kPatience);
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().step, Step("dial-port"));
  EXPECT_EQ(nobody.error().errnum, ECONNREFUSED);
  EXPECT_THAT(nobody.error().hint, HasSubstr("agent"));
}

TEST(DialTest, RepliesThatAreNoneAreRefused) {
  for (const char* answer : {"ERR\n", "OK\n", "OK x\n", "OK 12 \n", "\n",
                             "OK 00000000000000000000000000000000000000000000000000000000\n"}) {
    const auto socket = DialScript(answer, kPatience);
    ASSERT_FALSE(socket) << answer;
    EXPECT_EQ(socket.error().errnum, EPROTO) << answer;
  }
}

TEST(DialTest, DeviceThatDoesNotAnswerMeetsTheDeadline) {
  const TempDir dir;
  const ScriptedDevice device(dir / "vsock.sock", ScriptedDevice::Answer{"OK 1", true});
  asio::io_context context;
  const auto socket = Await(
      context, guest::Dial(context.get_executor(), dir / "vsock.sock", 1023, Deadline::In(100ms)));
  ASSERT_FALSE(socket);
  EXPECT_EQ(socket.error().errnum, ETIMEDOUT);
}

TEST(DialTest, PathThatIsTooLongIsSaid) {
  asio::io_context context;
  const auto socket =
      Await(context, guest::Dial(context.get_executor(), "/" + std::string(200, 'x'), 1023,
                                 Deadline::In(kPatience)));
  ASSERT_FALSE(socket);
  EXPECT_EQ(socket.error().errnum, ENAMETOOLONG);
}

}  // namespace
}  // namespace berth::testing
