// SPDX-License-Identifier: Apache-2.0
//
// Slow and vanished ends: what one does to the other, and to the agent.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/base/io.h"
#include "protocol/wire/channel.h"
#include "tests/agent/agent_rig.h"
#include "tests/agent/raw_client.h"

namespace berth::testing {
namespace {

using ::testing::HasSubstr;

// Bytes that a process has written so far, by its /proc/PID/io.
uint64_t WrittenBy(uint32_t pid) {
  const auto text = ReadFile(("/proc/" + std::to_string(pid) + "/io").c_str(), 4096);
  if (!text) return 0;
  return std::stoull(text->substr(text->find("wchar: ") + 7));
}

TEST(FlowTest, ReaderThatNeverReadsDoesNotGrowTheAgent) {
  const AgentRig rig;
  RawClient client(rig.Open(Command({"head", "-c", "67108864", "/dev/zero"})));
  const uint32_t pid = client.ReadStarted();
  // The program stops where its pipe, one buffer of the agent and the socket are full.
  uint64_t written = 0;
  ASSERT_TRUE(Eventually([&] {
    const uint64_t before = std::exchange(written, WrittenBy(pid));
    return ProcessState(pid) == 'S' && written > 0 && before == written;
  }));
  EXPECT_LT(written, 2u * 1024 * 1024);
  // Others are not affected.
  EXPECT_EQ(rig.Run(Shell("exit 5")).Code(), 5u);
  // And nothing was lost.
  const v1::ExecExited exited = client.ReadUntilExited();
  EXPECT_EQ(exited.code(), 0u);
  EXPECT_EQ(client.stdout_bytes(), 67108864u);
}

TEST(FlowTest, SignalReachesChildWhileStdinIsBlocked) {
  const AgentRig rig;
  v1::ExecStart request = Shell("trap 'exit 42' USR1; echo ready; while :; do sleep 0.01; done");
  request.set_stdin_open(true);
  RawClient client(rig.Open(request));
  client.ReadStarted();
  client.ReadStdout("ready\n");
  // All that the window allows, which is more than the pipe takes.
  const std::string chunk(64 * 1024, 'x');
  for (size_t sent = 0; sent < wire::kStdinWindowBytes; sent += chunk.size()) {
    client.SendData(wire::Stream::kStdin, chunk);
  }
  v1::Envelope message;
  message.mutable_exec_signal()->set_signal(SIGUSR1);
  client.Send(message);
  EXPECT_EQ(client.ReadUntilExited().code(), 42u);
}

TEST(FlowTest, StdinBeyondTheWindowEndsTheSession) {
  const AgentRig rig;
  v1::ExecStart request = Command({"sleep", "1000"});
  request.set_stdin_open(true);
  RawClient client(rig.Open(request));
  const uint32_t pid = client.ReadStarted();
  const std::string chunk(64 * 1024, 'x');
  for (size_t sent = 0; sent < wire::kStdinWindowBytes; sent += chunk.size()) {
    client.SendData(wire::Stream::kStdin, chunk);
  }
  client.SendData(wire::Stream::kStdin, "y");
  EXPECT_THAT(client.ReadFailure().detail(), HasSubstr("beyond its window"));
  EXPECT_TRUE(Eventually([&] { return ProcessState(pid) == 0; }));
}

TEST(FlowTest, StdinIsGrantedAnewAsTheProgramTakesIt) {
  const AgentRig rig;
  v1::ExecStart request = Command({"wc", "-c"});
  request.set_stdin_open(true);
  RawClient client(rig.Open(request));
  client.ReadStarted();
  const std::string window(wire::kMaxDataBytes, 'x');
  static_assert(wire::kMaxDataBytes == wire::kStdinWindowBytes);
  client.SendData(wire::Stream::kStdin, window);
  size_t granted = 0;
  while (granted < wire::kStdinWindowBytes / 2) granted += client.ReadCredit();
  EXPECT_LE(granted, wire::kStdinWindowBytes);
  client.SendData(wire::Stream::kStdin, window.substr(0, granted));
  client.SendEnd(wire::Stream::kStdin);
  EXPECT_EQ(client.ReadUntilExited().code(), 0u);
  EXPECT_EQ(client.stdout_text(), std::to_string(window.size() + granted) + "\n");
}

TEST(FlowTest, ClosedStdinOfTheProgramIsTold) {
  const AgentRig rig;
  v1::ExecStart request =
      Shell("exec 0</dev/null; echo closed; read line <&3 3</dev/zero; sleep 1000");
  request.set_stdin_open(true);
  RawClient client(rig.Open(request));
  client.ReadStarted();
  client.ReadStdout("closed\n");
  client.SendData(wire::Stream::kStdin, "nobody reads this");
  client.ReadEnd(wire::Stream::kStdin);
}

TEST(FlowTest, ClientDeathKillsSession) {
  AgentRig rig;
  RawClient client(rig.Open(Shell("sleep 1000 & echo $!; wait")));
  const uint32_t leader = client.ReadStarted();
  const auto child = static_cast<uint32_t>(std::stoul(client.ReadStdoutLine()));
  client.Close();
  EXPECT_TRUE(Eventually([&] { return ProcessState(leader) == 0; }));
  EXPECT_TRUE(Eventually([&] { return ProcessState(child) == 0 || ProcessState(child) == 'Z'; }));
  EXPECT_TRUE(Eventually([&] { return rig.Connections() == 0; }));
}

TEST(FlowTest, ClientDeathKillsWhatIgnoresTheHangup) {
  const AgentRig rig;
  v1::ExecStart request =
      Shell("trap '' HUP; (trap '' HUP; while :; do sleep 1000; done) & echo $!; wait");
  request.set_kill_grace_ms(50);
  RawClient client(rig.Open(request));
  const uint32_t leader = client.ReadStarted();
  const auto child = static_cast<uint32_t>(std::stoul(client.ReadStdoutLine()));
  client.Close();
  EXPECT_TRUE(Eventually([&] { return ProcessState(leader) == 0; }));
  EXPECT_TRUE(Eventually([&] { return ProcessState(child) == 0 || ProcessState(child) == 'Z'; }));
}

TEST(FlowTest, ClientDeathEndsSessionThatIsBlockedOnOutput) {
  AgentRig rig;
  RawClient client(rig.Open(Command({"yes"})));
  const uint32_t pid = client.ReadStarted();
  ASSERT_TRUE(Eventually([&] { return ProcessState(pid) == 'S'; }));
  client.Close();
  EXPECT_TRUE(Eventually([&] { return ProcessState(pid) == 0; }));
  EXPECT_TRUE(Eventually([&] { return rig.Connections() == 0; }));
}

TEST(FlowTest, FullPipeAtTheEndWaitsForTheReader) {
  const AgentRig rig;
  RawClient client(rig.Open(Command({"head", "-c", "600000", "/dev/zero"})));
  const uint32_t pid = client.ReadStarted();
  // It may or may not end before the first byte is read; all of it comes in any case.
  ASSERT_TRUE(Eventually([&] { return ProcessState(pid) != 'R'; }));
  EXPECT_EQ(client.ReadUntilExited().code(), 0u);
  EXPECT_EQ(client.stdout_bytes(), 600000u);
}

TEST(FlowTest, CallerWhoseOutputIsClosedLearnsIt) {
  const AgentRig rig;
  Pipe out;
  out.read.Reset();
  const auto outcome =
      guest::RunExecSession(rig.Open(Command({"yes"})),
                            {.stdin_fd = -1, .stdout_fd = out.write.get(), .take_signals = false});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().step, Step("write-output"));
  EXPECT_EQ(outcome.error().errnum, EPIPE);
}

TEST(FlowTest, SignalOfTheCallerReachesTheProgram) {
  const AgentRig rig;
  Pipe out;
  const pthread_t caller = pthread_self();
  std::thread sender([&] {
    char ready[6];
    EXPECT_EQ(read(out.read.get(), ready, sizeof(ready)), 6);
    pthread_kill(caller, SIGTERM);
  });
  const auto outcome = guest::RunExecSession(
      rig.Open(Shell("trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done")),
      {.stdin_fd = -1, .stdout_fd = out.write.get()});
  sender.join();
  ASSERT_TRUE(outcome) << outcome.error().Message();
  EXPECT_EQ(outcome->code, 9u);
}

TEST(FlowTest, SlowReaderOfTheCallerDoesNotKeepSignalsBack) {
  const AgentRig rig;
  Pipe out;
  const pthread_t caller = pthread_self();
  std::thread sender([&] {
    // Nobody reads: once the pipe is full the client has output that it cannot write.
    pollfd room{.fd = out.write.get(), .events = POLLOUT, .revents = 0};
    EXPECT_TRUE(Eventually([&] { return poll(&room, 1, 0) == 0; }));
    pthread_kill(caller, SIGINT);
    ReadAll(out.read.get());
  });
  const auto outcome = guest::RunExecSession(rig.Open(Command({"yes"})),
                                             {.stdin_fd = -1, .stdout_fd = out.write.get()});
  out.write.Reset();
  sender.join();
  ASSERT_TRUE(outcome) << outcome.error().Message();
  EXPECT_EQ(outcome->signal, static_cast<uint32_t>(SIGINT));
}

TEST(FlowTest, AgentThatGoesAwayIsSaid) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  UniqueFd agent(pair[0]);
  const std::string opening = RawClient::Hello(1) + RawClient::Encoded([](v1::Envelope& message) {
                                message.mutable_exec_started()->set_pid(5);
                              });
  ASSERT_TRUE(WriteFull(agent.get(), opening, Deadline::In(kPatience)));
  agent.Reset();
  const auto outcome =
      guest::RunExecSession(UniqueFd(pair[1]), {.stdin_fd = -1, .take_signals = false});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().errnum, ECONNRESET);
  EXPECT_THAT(outcome.error().detail, HasSubstr("the agent or the VM went away"));
}

}  // namespace
}  // namespace berth::testing
