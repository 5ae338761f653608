// SPDX-License-Identifier: Apache-2.0
//
// berth exec against a real kernel in a real VM. One VM serves the whole of a test; ctest runs each
// test in its own process.
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include <nlohmann/json.hpp>
#include <random>

#include "protocol/base/io.h"
#include "tests/e2e/host.h"

namespace berth::e2e {
namespace {

class Exec : public testing::Test {
 protected:
  void SetUp() override { host_.Up("vm"); }

  Outcome InGuest(std::vector<std::string> command, std::vector<std::string> options = {},
                  RunOptions run = {}) {
    return host_.Berth(Args(std::move(command), std::move(options)), std::move(run));
  }
  Outcome Shell(const std::string& script, std::vector<std::string> options = {},
                RunOptions run = {}) {
    return InGuest({"sh", "-c", script}, std::move(options), std::move(run));
  }
  std::unique_ptr<Process> StartShell(const std::string& script,
                                      std::vector<std::string> options = {}, RunOptions run = {}) {
    return host_.StartBerth(Args({"sh", "-c", script}, std::move(options)), std::move(run));
  }
  static std::vector<std::string> Args(std::vector<std::string> command,
                                       std::vector<std::string> options) {
    std::vector<std::string> args = {"exec"};
    args.insert(args.end(), options.begin(), options.end());
    args.insert(args.end(), {"vm", "--"});
    args.insert(args.end(), command.begin(), command.end());
    return args;
  }
  // Waits in the guest, by an event there, until `script` succeeds.
  bool Eventually(const std::string& script) {
    return Shell("n=0; until " + script +
                 "; do n=$((n+1)); [ $n -lt 500 ] || exit 1; usleep 20000; done")
               .code == 0;
  }

  Host host_;
};

std::string RandomBytes(size_t bytes) {
  std::mt19937_64 random(20261121);
  std::string data(bytes, '\0');
  for (char& c : data) c = static_cast<char>(random());
  return data;
}

TEST_F(Exec, StdoutStderrAndExitCodeComeBackApart) {
  const Outcome outcome = Shell("echo out; echo err >&2; exit 7");
  EXPECT_EQ(outcome.code, 7) << outcome;
  EXPECT_EQ(outcome.out, "out\n");
  EXPECT_EQ(outcome.err, "err\n");
}

TEST_F(Exec, SignalAndExitCodeAreToldApart) {
  const auto signalled = nlohmann::json::parse(Shell("kill -9 $$", {"--json"}).err, nullptr, false);
  ASSERT_TRUE(signalled.is_object());
  EXPECT_EQ(signalled.value("signal", 0), 9) << signalled;
  EXPECT_TRUE(signalled["code"].is_null()) << signalled;
  const auto exited = nlohmann::json::parse(Shell("exit 137", {"--json"}).err, nullptr, false);
  ASSERT_TRUE(exited.is_object());
  EXPECT_EQ(exited.value("code", 0), 137) << exited;
  EXPECT_TRUE(exited["signal"].is_null()) << exited;
  EXPECT_EQ(Shell("kill -9 $$").code, 128 + 9);
}

TEST_F(Exec, EnvironmentDirectoryAndUserAreTheSessions) {
  const Outcome outcome = Shell("echo $GREETING; pwd; id -u; id -g",
                                {"-e", "GREETING=hello there", "-w", "/tmp", "-u", "65534:65534"});
  EXPECT_EQ(outcome.code, 0) << outcome;
  EXPECT_EQ(outcome.out, "hello there\n/tmp\n65534\n65534\n");
}

TEST_F(Exec, ProgramsDoNotInheritTheAgentsScheduling) {
  // Field 41 of proc_pid_stat(5): the agent's is SCHED_BATCH, 3.
  const Outcome outcome = Shell("cut -d ' ' -f 41 /proc/$(pidof berth-agent)/stat /proc/self/stat");
  EXPECT_EQ(outcome.out, "3\n0\n") << outcome;
}

TEST_F(Exec, AnUnknownUserIsAnErrorThatNamesIt) {
  const Outcome outcome = Shell("true", {"-u", "nosuchuser"});
  EXPECT_EQ(outcome.code, 125) << outcome;
  EXPECT_TRUE(outcome.err.contains("nosuchuser")) << outcome;
}

TEST_F(Exec, AMissingProgramIs127AndOneThatMayNotRunIs126) {
  const Outcome missing = InGuest({"/no/such/program"});
  EXPECT_EQ(missing.code, 127) << missing;
  EXPECT_TRUE(missing.err.contains("ENOENT")) << missing;
  const Outcome forbidden = InGuest({"/etc/passwd"});
  EXPECT_EQ(forbidden.code, 126) << forbidden;
  EXPECT_TRUE(forbidden.err.contains("EACCES")) << forbidden;
}

TEST_F(Exec, SixtyFourMebibytesComeOutUnchanged) {
  const Outcome sum =
      Shell("head -c 67108864 /dev/urandom > /tmp/stream && sha256sum < /tmp/stream");
  ASSERT_EQ(sum.code, 0) << sum;
  Outcome stream = InGuest({"cat", "/tmp/stream"});
  ASSERT_EQ(stream.code, 0) << stream.err;
  ASSERT_EQ(stream.out.size(), 64U << 20);
  const Outcome host_sum = RunCommand({"sha256sum"}, {.stdin_data = std::move(stream.out)});
  EXPECT_EQ(host_sum.out, sum.out);
}

TEST_F(Exec, BinaryDataGoesInAndOutAtOnceUnchanged) {
  const std::string data = RandomBytes(16 << 20);
  const Outcome outcome = InGuest({"cat"}, {"-i"}, {.stdin_data = data});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(outcome.out == data) << outcome.out.size() << " bytes came back";
}

TEST_F(Exec, EndOfStdinReachesTheProgramWhileItsOutputGoesOn) {
  const Outcome outcome = Shell("wc -c; echo after", {"-i"}, {.stdin_data = "12345"});
  EXPECT_EQ(outcome.code, 0) << outcome;
  EXPECT_EQ(outcome.out, "5\nafter\n");
}

TEST_F(Exec, WithoutInteractiveStdinIsAtItsEnd) {
  const Outcome outcome = Shell("wc -c", {}, {.stdin_data = "12345"});
  EXPECT_EQ(outcome.out, "0\n") << outcome;
}

TEST_F(Exec, ReturnsWhileABackgroundChildHoldsStdout) {
  const Outcome outcome = Shell("sleep 1000 & echo started");
  EXPECT_FALSE(outcome.timed_out);
  EXPECT_EQ(outcome.code, 0) << outcome;
  EXPECT_EQ(outcome.out, "started\n");
  EXPECT_EQ(Shell("pidof sleep").code, 0) << "the background child should live on";
}

TEST_F(Exec, LastLinesOfALargeOutputAreNotLost) {
  const Outcome outcome = Shell("seq 1 300000");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_TRUE(outcome.out.ends_with("299999\n300000\n")) << outcome.out.size();
}

TEST_F(Exec, AReaderThatNeverReadsHoldsNobodyElseAndNoMemory) {
  const Outcome before = Shell("grep VmRSS /proc/$(pidof berth-agent)/status");
  auto stuck = StartShell("yes");
  ASSERT_TRUE(stuck->WaitForOutput("y\n", Deadline::In(30s))) << stuck->so_far();
  stuck->StopReading();
  // The pipe, the socket and the vsock buffers fill up; then `yes` sleeps in its write.
  EXPECT_TRUE(
      Eventually("grep -q pipe_write /proc/$(pidof yes)/wchan || grep -q '^State:.S' /proc/$(pidof "
                 "yes)/status"));
  EXPECT_EQ(Shell("echo fine").out, "fine\n");
  const Outcome after = Shell("grep VmRSS /proc/$(pidof berth-agent)/status");
  const auto kib = [](const Outcome& o) {
    return std::stol(o.out.substr(o.out.find_first_of("0123456789")));
  };
  if (!GuestIsSanitized()) EXPECT_LT(kib(after), kib(before) + 1024) << before.out << after.out;
}

TEST_F(Exec, ASignalReachesAProgramThatDoesNotReadItsFullStdin) {
  auto session =
      StartShell("trap 'echo got it; exit 3' INT; echo ready; while :; do usleep 10000; done",
                 {"-i"}, {.stdin_data = std::string(8 << 20, 'x')});
  ASSERT_TRUE(session->WaitForOutput("ready", Deadline::In(30s))) << session->so_far();
  session->Signal(SIGINT);
  const Outcome outcome = session->Wait(Deadline::In(30s));
  EXPECT_EQ(outcome.code, 3) << outcome;
  EXPECT_TRUE(outcome.out.contains("got it")) << outcome;
}

TEST_F(Exec, AKilledClientEndsItsSession) {
  auto session = StartShell("echo ready; exec sleep 4321");
  ASSERT_TRUE(session->WaitForOutput("ready", Deadline::In(30s))) << session->so_far();
  session->Signal(SIGKILL);
  EXPECT_TRUE(Eventually("! pidof sleep >/dev/null"));
}

TEST_F(Exec, ATimeoutEndsTheProgramAndSaysSo) {
  const Outcome outcome =
      Shell("trap '' TERM; echo on; while :; do usleep 100000; done", {"--timeout", "1s"});
  EXPECT_EQ(outcome.code, 124) << outcome;
  EXPECT_TRUE(outcome.err.contains("timed out")) << outcome;
}

TEST_F(Exec, TwoHundredSessionsRunAtOnce) {
  std::vector<std::unique_ptr<Process>> sessions;
  constexpr int kSessions = 200;
  for (int i = 0; i < kSessions; ++i) {
    sessions.push_back(StartShell("echo here; read line; echo " + std::to_string(i) +
                                      " $line; exit " + std::to_string(i % 100),
                                  {"-i"}));
  }
  for (auto& session : sessions) {
    ASSERT_TRUE(session->WaitForOutput("here", Deadline::In(kCommandTimeout))) << session->so_far();
  }
  // All of them stand now at once.
  for (int i = 0; i < kSessions; ++i) {
    auto& session = sessions[static_cast<size_t>(i)];
    session->WriteStdin("said\n");
    const Outcome outcome = session->Wait(Deadline::In(kCommandTimeout));
    EXPECT_EQ(outcome.code, i % 100) << outcome;
    EXPECT_EQ(outcome.out, "here\n" + std::to_string(i) + " said\n");
  }
}

TEST_F(Exec, ATerminalHasItsSizeIsResizedAndIsGivenBack) {
  int leader = -1;
  int follower = -1;
  winsize size = {.ws_row = 33, .ws_col = 99, .ws_xpixel = 0, .ws_ypixel = 0};
  ASSERT_EQ(openpty(&leader, &follower, nullptr, nullptr, &size), 0);
  const UniqueFd leader_fd(leader);
  termios before = {};
  ASSERT_EQ(tcgetattr(follower, &before), 0);
  const pid_t pid = fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    login_tty(follower);
    const std::string berth = BinDir() + "/berth";
    const std::string socket = host_.socket();
    execl(berth.c_str(), "berth", "--socket", socket.c_str(), "exec", "-it", "vm", "--", "sh", "-c",
          "stty size; trap 'stty size; exit 5' WINCH; echo ready; while :; do usleep 10000; done",
          nullptr);
    _exit(127);
  }
  std::string screen;
  const auto read_until = [&](const std::string& text) {
    const Deadline deadline = Deadline::In(30s);
    while (!screen.contains(text)) {
      char chunk[512];
      if (!PollFor(leader, POLLIN, deadline)) return false;
      const ssize_t n = read(leader, chunk, sizeof(chunk));
      if (n <= 0) return false;
      screen.append(chunk, static_cast<size_t>(n));
    }
    return true;
  };
  EXPECT_TRUE(read_until("33 99")) << screen;
  EXPECT_TRUE(read_until("ready")) << screen;
  size.ws_row = 44;
  size.ws_col = 111;
  ASSERT_EQ(ioctl(leader, TIOCSWINSZ, &size), 0);
  EXPECT_TRUE(read_until("44 111")) << screen;
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 5);
  termios after = {};
  ASSERT_EQ(tcgetattr(follower, &after), 0);
  EXPECT_EQ(after.c_lflag, before.c_lflag);
  EXPECT_EQ(after.c_iflag, before.c_iflag);
  close(follower);
}

}  // namespace
}  // namespace berth::e2e
