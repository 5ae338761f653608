// SPDX-License-Identifier: Apache-2.0
//
// Sessions in a real VM: left, found again, ended, and what the end of a client, of berthd and of
// the agent does to them.
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utmp.h>

#include <nlohmann/json.hpp>

#include "protocol/base/io.h"
#include "tests/e2e/host.h"

namespace berth::e2e {
namespace {

using nlohmann::json;

class Session : public testing::Test {
 protected:
  void SetUp() override { host_.Up("vm"); }

  Outcome Shell(const std::string& script) {
    return host_.Berth({"exec", "vm", "--", "sh", "-c", script});
  }
  // Waits in the guest, by an event there, until `script` succeeds.
  bool Eventually(const std::string& script) {
    return Shell("n=0; until " + script +
                 "; do n=$((n+1)); [ $n -lt 500 ] || exit 1; usleep 20000; done")
               .code == 0;
  }
  // Its id, as a script would take it.
  std::string Detach(const std::string& script, std::vector<std::string> options = {}) {
    std::vector<std::string> args = {"exec", "--detach"};
    args.insert(args.end(), options.begin(), options.end());
    args.insert(args.end(), {"vm", "--", "sh", "-c", script});
    const Outcome detached = host_.Berth(args);
    EXPECT_EQ(detached.code, 0) << detached;
    return detached.out.substr(0, detached.out.find('\n'));
  }
  json Row(const std::string& session) {
    const json list = json::parse(host_.Berth({"session", "vm", "--json"}).out, nullptr, false);
    for (const json& row : list.value("sessions", json::array())) {
      if (row.value("session", "") == session) return row;
    }
    return {};
  }

  Host host_;
};

TEST_F(Session, IsLeftAndFoundAgain) {
  const std::string id = Detach("echo one; read line; echo got $line; exit 7", {"-i"});
  ASSERT_EQ(id.size(), 8U);
  const json row = Row(id);
  EXPECT_TRUE(row.value("detach", false)) << row;
  // The first client is killed: the session does not care.
  auto first = host_.StartBerth({"attach", "vm", id});
  ASSERT_TRUE(first->WaitForOutput("one", Deadline::In(30s))) << first->so_far();
  first->Signal(SIGKILL);
  first->Wait(Deadline::In(30s));
  const Outcome second = host_.Berth({"attach", "vm", id}, {.stdin_data = "two\n"});
  EXPECT_EQ(second.code, 7) << second;
  EXPECT_EQ(second.out, "one\ngot two\n");
  // Once more: how it ended is kept.
  EXPECT_EQ(host_.Berth({"attach", "vm", id}).code, 7);
  EXPECT_EQ(host_.Berth({"session", "vm", "end", id}).code, 0);
  const Outcome gone = host_.Berth({"attach", "vm", id});
  EXPECT_EQ(gone.code, 125) << gone;
  EXPECT_TRUE(gone.err.contains("ESRCH")) << gone;
}

TEST_F(Session, OnATerminalIsLeftByItsKey) {
  const std::string id = Detach("echo ready; read line; echo got $line; sleep 1000", {"-it"});
  int leader = -1;
  const pid_t pid = forkpty(&leader, nullptr, nullptr, nullptr);
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    const std::string berth = BinDir() + "/berth";
    const std::string socket = host_.socket();
    execl(berth.c_str(), "berth", "--socket", socket.c_str(), "attach", "vm", id.c_str(), nullptr);
    _exit(127);
  }
  const UniqueFd leader_fd(leader);
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
  EXPECT_TRUE(read_until("ready")) << screen;
  ASSERT_EQ(write(leader, "hi\r", 3), 3);
  EXPECT_TRUE(read_until("got hi")) << screen;
  ASSERT_EQ(write(leader, "\x1d", 1), 1);
  EXPECT_TRUE(read_until("goes on")) << screen;
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_TRUE(Row(id)["end_ms"].is_null());
}

TEST_F(Session, EndReachesAllThatItStarted) {
  const std::string id = Detach(
      "setsid sh -c 'trap \"\" HUP TERM; exec sleep 4321' & trap '' TERM; echo on; wait; wait");
  ASSERT_TRUE(Eventually("pidof sleep >/dev/null"));
  EXPECT_EQ(host_.Berth({"session", "vm", "end", id}).code, 0);
  EXPECT_TRUE(Eventually("! pidof sleep >/dev/null"));
  EXPECT_EQ(host_.Berth({"attach", "vm", id}).code, 128 + SIGKILL);
}

TEST_F(Session, ASignalReachesItByName) {
  const std::string id = Detach("trap 'exit 9' USR1; echo up; while :; do usleep 10000; done");
  auto watch = host_.StartBerth({"attach", "vm", id});
  ASSERT_TRUE(watch->WaitForOutput("up", Deadline::In(30s))) << watch->so_far();
  EXPECT_EQ(host_.Berth({"session", "vm", "signal", id, "--signal", "USR1"}).code, 0);
  EXPECT_EQ(watch->Wait(Deadline::In(30s)).code, 9);
}

TEST_F(Session, AKilledClientTakesAlsoWhatLeftItsGroup) {
  auto client = host_.StartBerth(
      {"exec", "vm", "--", "sh", "-c", "setsid sh -c 'echo on; exec sleep 4321' & wait"});
  ASSERT_TRUE(client->WaitForOutput("on", Deadline::In(30s))) << client->so_far();
  client->Signal(SIGKILL);
  EXPECT_TRUE(Eventually("! pidof sleep >/dev/null"));
}

// berthd handed the connection over: its death is none of the session's affair.
TEST_F(Session, OutlivesAKilledBerthd) {
  auto session = host_.StartBerth({"exec", "-i", "vm", "--", "cat"});
  session->WriteStdin("before\n");
  ASSERT_TRUE(session->WaitForOutput("before", Deadline::In(30s))) << session->so_far();
  host_.daemon().Signal(SIGKILL);
  host_.daemon().Wait(Deadline::In(30s));
  session->WriteStdin("after\n");
  EXPECT_TRUE(session->WaitForOutput("after", Deadline::In(30s))) << session->so_far();
  session->CloseStdin();
  EXPECT_EQ(session->Wait(Deadline::In(30s)).code, 0);
  host_.StartDaemon();
}

TEST_F(Session, SaysThatTheAgentEndedAndNothingOfItLivesOn) {
  const std::string detached = Detach("setsid sleep 4321 & wait");
  auto session = host_.StartBerth(
      {"exec", "vm", "--", "sh", "-c", "setsid sh -c 'exec sleep 4322' & echo on; wait"});
  ASSERT_TRUE(session->WaitForOutput("on", Deadline::In(30s))) << session->so_far();
  ASSERT_TRUE(Eventually("[ $(pidof sleep | wc -w) = 2 ]"));
  host_.Berth({"exec", "vm", "--", "sh", "-c", "kill -9 $(pidof berth-agent)"});
  const Outcome end = session->Wait(Deadline::In(60s));
  EXPECT_EQ(end.code, 125) << end;
  EXPECT_TRUE(end.err.contains("agent ended")) << end;
  EXPECT_TRUE(Eventually("! pidof sleep >/dev/null"));
  const Outcome gone = host_.Berth({"attach", "vm", detached});
  EXPECT_TRUE(gone.err.contains("ESRCH")) << gone;
}

TEST_F(Session, OfAVmThatStopsSaysSo) {
  auto session = host_.StartBerth({"exec", "vm", "--", "sh", "-c", "echo on; exec sleep 4321"});
  ASSERT_TRUE(session->WaitForOutput("on", Deadline::In(30s))) << session->so_far();
  host_.Berth({"kill", "vm"});
  const Outcome end = session->Wait(Deadline::In(60s));
  EXPECT_EQ(end.code, 125) << end;
  EXPECT_TRUE(end.err.contains("vm is ")) << end;
}

}  // namespace
}  // namespace berth::e2e
