// SPDX-License-Identifier: Apache-2.0
//
// Sessions with a terminal: the guest's, and the caller's own.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "agent/pty.h"
#include "tests/agent/agent_rig.h"
#include "tests/agent/raw_client.h"

namespace berth::testing {
namespace {

using ::testing::HasSubstr;

v1::ExecStart OnTerminal(v1::ExecStart request) {
  request.set_tty(true);
  request.set_rows(33);
  request.set_columns(77);
  request.set_stdin_open(true);
  return request;
}

v1::Envelope Resize(uint32_t rows, uint32_t columns) {
  v1::Envelope message;
  message.mutable_exec_resize()->set_rows(rows);
  message.mutable_exec_resize()->set_columns(columns);
  return message;
}

TEST(TtyTest, ProgramHasATerminalOfTheAskedSize) {
  const AgentRig rig;
  RawClient client(
      rig.Open(OnTerminal(Shell("test -t 0 && test -t 2 && stty size && echo $TERM"))));
  client.ReadStarted();
  EXPECT_EQ(client.ReadUntilExited().code(), 0u);
  EXPECT_EQ(client.stdout_text(), "33 77\r\nxterm\r\n");
}

TEST(TtyTest, TtyResizeReachesTheProgram) {
  const AgentRig rig;
  RawClient client(rig.Open(OnTerminal(
      Shell("trap 'stty size; exit 6' WINCH; echo ready; while :; do sleep 0.01; done"))));
  client.ReadStarted();
  client.ReadStdout("ready\r\n");
  client.Send(Resize(50, 132));
  EXPECT_EQ(client.ReadUntilExited().code(), 6u);
  EXPECT_THAT(client.stdout_text(), HasSubstr("50 132"));
}

TEST(TtyTest, ResizeStormEndsWithTheLastSize) {
  const AgentRig rig;
  RawClient client(rig.Open(OnTerminal(Shell("read line; stty size"))));
  client.ReadStarted();
  for (uint32_t i = 1; i <= 1000; ++i) client.Send(Resize(i, i));
  client.SendData(wire::Stream::kStdin, "\n");
  EXPECT_EQ(client.ReadUntilExited().code(), 0u);
  EXPECT_THAT(client.stdout_text(), HasSubstr("1000 1000"));
}

TEST(TtyTest, SignalGoesToTheForegroundGroup) {
  const AgentRig rig;
  // With job control each command is a group of its own: the shell must live to say how it ended.
  RawClient client(rig.Open(OnTerminal(
      Command({"/bin/bash", "-mc", "sh -c 'echo ready; exec sleep 1000'; echo code $?"}))));
  client.ReadStarted();
  client.ReadStdout("ready\r\n");
  v1::Envelope message;
  message.mutable_exec_signal()->set_signal(SIGTERM);
  client.Send(message);
  EXPECT_EQ(client.ReadUntilExited().code(), 0u);
  EXPECT_THAT(client.stdout_text(), HasSubstr("code 143"));
}

TEST(TtyTest, InterruptCharacterInterrupts) {
  const AgentRig rig;
  RawClient client(rig.Open(OnTerminal(Shell("echo ready; exec cat"))));
  client.ReadStarted();
  client.ReadStdout("ready\r\n");
  client.SendData(wire::Stream::kStdin, "\x03");
  EXPECT_EQ(client.ReadUntilExited().signal(), static_cast<uint32_t>(SIGINT));
}

TEST(TtyTest, EndOfStdinIsTheEndOfTheTerminalsInput) {
  const AgentRig rig;
  RawClient client(rig.Open(OnTerminal(Shell("stty -echo; echo ready; cat; echo end"))));
  client.ReadStarted();
  client.ReadStdout("ready\r\n");
  // Without a newline: the end must both hand the line over and end the input.
  client.SendData(wire::Stream::kStdin, "half a line");
  client.SendEnd(wire::Stream::kStdin);
  EXPECT_EQ(client.ReadUntilExited().code(), 0u);
  EXPECT_EQ(client.stdout_text(), "ready\r\nhalf a lineend\r\n");
}

TEST(TtyTest, AllOutputOfATerminalIsDrained) {
  const AgentRig rig;
  RawClient client(rig.Open(OnTerminal(Shell("head -c 300000 /dev/zero | tr '\\0' x"))));
  client.ReadStarted();
  EXPECT_EQ(client.ReadUntilExited().code(), 0u);
  EXPECT_EQ(client.stdout_bytes(), 300000u);
}

TEST(TtyTest, BackgroundChildDoesNotHoldATerminalSession) {
  const AgentRig rig;
  RawClient client(rig.Open(OnTerminal(Shell("(trap '' HUP; sleep 1000) & echo $!"))));
  client.ReadStarted();
  EXPECT_EQ(client.ReadUntilExited().code(), 0u);
  kill(std::stoi(client.stdout_text()), SIGKILL);
}

TEST(TtyTest, TerminalBelongsToTheSessionsUser) {
  const AgentRig rig;
  v1::ExecStart request = OnTerminal(Shell("id -un; echo mine > /dev/tty"));
  request.set_user("daemon");
  RawClient client(rig.Open(request));
  client.ReadStarted();
  EXPECT_EQ(client.ReadUntilExited().code(), 0u);
  EXPECT_EQ(client.stdout_text(), "daemon\r\nmine\r\n");
}

TEST(TtyTest, ClientDeathHangsTheTerminalUp) {
  AgentRig rig;
  RawClient client(rig.Open(OnTerminal(Shell("echo ready; sleep 1000"))));
  const uint32_t pid = client.ReadStarted();
  client.ReadStdout("ready\r\n");
  client.Close();
  EXPECT_TRUE(Eventually([&] { return ProcessState(pid) == 0; }));
  EXPECT_TRUE(Eventually([&] { return rig.Connections() == 0; }));
}

// --- The caller's terminal ---

class CallersTerminal : public ::testing::Test {
 protected:
  CallersTerminal() : pty_(agent::OpenPty(20, 60, geteuid()).value()) {
    EXPECT_EQ(tcgetattr(pty_.slave.get(), &before_), 0);
  }
  Result<guest::ExecOutcome> Run(const v1::ExecStart& request) {
    return guest::RunExecSession(rig_.Open(request), {.stdin_fd = pty_.slave.get(),
                                                      .stdout_fd = pty_.slave.get(),
                                                      .stderr_fd = pty_.slave.get(),
                                                      .stdin_open = true,
                                                      .tty = true});
  }
  // From the caller's screen.
  std::string ReadScreenUntil(std::string_view text) {
    std::string screen;
    char c;
    while (screen.find(text) == std::string::npos && read(pty_.master.get(), &c, 1) == 1) {
      screen += c;
    }
    return screen;
  }
  bool IsRaw() {
    termios now{};
    return tcgetattr(pty_.slave.get(), &now) == 0 && (now.c_lflag & (ICANON | ECHO | ISIG)) == 0;
  }
  void ExpectRestored() {
    termios now{};
    ASSERT_EQ(tcgetattr(pty_.slave.get(), &now), 0);
    EXPECT_EQ(now.c_lflag, before_.c_lflag);
    EXPECT_EQ(now.c_iflag, before_.c_iflag);
    EXPECT_EQ(now.c_oflag, before_.c_oflag);
  }

  const AgentRig rig_;
  agent::Pty pty_;
  termios before_{};
};

TEST_F(CallersTerminal, IsRawDuringTheSessionAndRestoredBehindIt) {
  bool was_raw = false;
  std::thread person([&] {
    ReadScreenUntil("ready");
    was_raw = IsRaw();
    EXPECT_EQ(write(pty_.master.get(), "go\r", 3), 3);
    ReadScreenUntil("went go");
  });
  const auto outcome =
      Run(OnTerminal(Shell("stty -echo; echo ready; read x; echo went $x; exit 8")));
  person.join();
  ASSERT_TRUE(outcome) << outcome.error().Message();
  EXPECT_EQ(outcome->code, 8u);
  EXPECT_TRUE(was_raw);
  ExpectRestored();
}

TEST_F(CallersTerminal, IsRestoredWhenASignalEndsTheSession) {
  const pthread_t caller = pthread_self();
  std::thread person([&] {
    ReadScreenUntil("ready");
    pthread_kill(caller, SIGTERM);
  });
  const auto outcome = Run(OnTerminal(Shell("echo ready; sleep 1000")));
  person.join();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().step, Step("interrupted"));
  ExpectRestored();
}

TEST_F(CallersTerminal, IsRestoredWhenTheProgramCannotStart) {
  const auto outcome = Run(OnTerminal(Command({"no-such-program"})));
  ASSERT_FALSE(outcome);
  ExpectRestored();
}

TEST_F(CallersTerminal, ItsNewSizeReachesTheProgram) {
  const pthread_t caller = pthread_self();
  std::thread person([&] {
    ReadScreenUntil("ready");
    EXPECT_TRUE(agent::ResizePty(pty_.master.get(), 40, 100));
    pthread_kill(caller, SIGWINCH);
    ReadScreenUntil("40 100");
  });
  const auto outcome = Run(OnTerminal(
      Shell("trap 'stty size; exit 6' WINCH; echo ready; while :; do sleep 0.01; done")));
  person.join();
  ASSERT_TRUE(outcome) << outcome.error().Message();
  EXPECT_EQ(outcome->code, 6u);
}

}  // namespace
}  // namespace berth::testing
