// SPDX-License-Identifier: Apache-2.0
//
// Much of everything: a gibibyte in both directions beside fifty sessions, ten thousand short
// commands, terminals that are resized all the time, and a guest that has run out of something.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>

#include "protocol/base/io.h"
#include "supervisor/guest/call.h"
#include "supervisor/guest/exec_client.h"
#include "tests/e2e/host.h"

namespace berth::e2e {
namespace {

class Endurance : public testing::Test {
 protected:
  void SetUp() override { host_.Up("vm", "demo", {"--memory", "512M"}); }

  Outcome Shell(const std::string& script) {
    return host_.Berth({"exec", "vm", "--", "sh", "-c", script});
  }

  // What a leak would show in: "descriptors zombies cgroups RSS-in-KiB".
  std::map<std::string, long> Footprint() {
    const Outcome seen = Shell(
        "a=$(pidof berth-agent); ls /proc/$a/fd | wc -l; grep -l '^State:.Z' /proc/[0-9]*/status "
        "2>/dev/null | wc -l; ls -d /sys/fs/cgroup/berth.sessions/*/ | wc -l; "
        "awk '/VmRSS/ {print $2}' /proc/$a/status; ls /proc/1/fd | wc -l");
    std::map<std::string, long> numbers;
    size_t at = 0;
    for (const char* name : {"descriptors", "zombies", "cgroups", "rss_kib", "init_descriptors"}) {
      size_t used = 0;
      numbers[name] = std::stol(seen.out.substr(at), &used);
      at += used;
    }
    return numbers;
  }

  // A session without a `berth` of its own: one costs as much as ten short commands.
  guest::ExecOutcome Run(std::vector<std::string> argv) {
    UniqueFd fd = Converse(host_.VmDir("vm") + "/vsock.sock", "CONNECT 1023\n", "OK ");
    v1::Envelope request;
    for (std::string& each : argv) request.mutable_exec_start()->add_argv(std::move(each));
    const auto opening = guest::EncodeOpening(request);
    EXPECT_TRUE(WriteFull(fd.get(), *opening, Deadline::In(30s)));
    const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    const auto outcome = guest::RunExecSession(
        std::move(fd),
        {.stdin_fd = -1, .stdout_fd = null.get(), .stderr_fd = null.get(), .take_signals = false});
    EXPECT_TRUE(outcome) << (outcome ? "" : outcome.error().Message());
    return outcome.value_or(guest::ExecOutcome{});
  }

  Host host_;
};

// Both ends compute a checksum of what passes, and the host compares what came back with what it
// sent.
TEST_F(Endurance, AGibibyteBothWaysBesideFiftySessions) {
  std::vector<std::unique_ptr<Process>> others;
  for (int i = 0; i < 50; ++i) {
    others.push_back(host_.StartBerth(
        {"exec", "-i", "vm", "--", "sh", "-c", "while read line; do echo $line; done"}));
    others.back()->WriteStdin("up\n");
  }
  for (auto& each : others) {
    ASSERT_TRUE(each->WaitForOutput("up\n", Deadline::In(kCommandTimeout))) << each->so_far();
  }
  const std::string berth = BinDir() + "/berth --socket " + host_.socket();
  const Outcome carried = RunCommand(
      {"bash", "-c",
       "set -o pipefail; head -c 1073741824 /dev/urandom | tee >(md5sum > " + host_.dir() +
           "/sent) | " + berth +
           " exec -i vm -- sh -c 'mkfifo /tmp/f; md5sum < /tmp/f >&2 & tee /tmp/f; wait' 2> " +
           host_.dir() + "/guest | md5sum"},
      {.timeout = 800s});
  const auto file = [&](const std::string& name) {
    return ReadFile((host_.dir() + "/" + name).c_str(), 4096).value_or("none");
  };
  EXPECT_EQ(carried.code, 0) << carried;
  EXPECT_EQ(carried.out.size(), std::string_view("0123456789abcdef0123456789abcdef  -\n").size());
  EXPECT_EQ(carried.out, file("sent"));
  EXPECT_EQ(carried.out, file("guest"));
  for (size_t i = 0; i < others.size(); ++i) {
    others[i]->WriteStdin("still " + std::to_string(i) + "\n");
    EXPECT_TRUE(others[i]->WaitForOutput("still " + std::to_string(i) + "\n",
                                         Deadline::In(kCommandTimeout)))
        << others[i]->so_far();
    others[i]->CloseStdin();
    EXPECT_EQ(others[i]->Wait(Deadline::In(kCommandTimeout)).code, 0);
  }
}

TEST_F(Endurance, TenThousandShortCommandsLeaveNothing) {
  for (int i = 0; i < 200; ++i) Run({"true"});
  const auto before = Footprint();
  for (int i = 0; i < 10'000; ++i) {
    const guest::ExecOutcome outcome = Run({"true"});
    ASSERT_EQ(outcome.code, 0U) << "command " << i;
  }
  const auto after = Footprint();
  for (const auto& [what, number] : after) {
    if (what == "rss_kib" && GuestIsSanitized()) continue;
    EXPECT_LE(number, before.at(what) + (what == "rss_kib" ? 64 : 1)) << what;
  }
  EXPECT_EQ(after.at("zombies"), 0);
}

TEST_F(Endurance, AReaderThatHasEnoughEndsTheWriter) {
  const Outcome head = RunCommand({"bash", "-c",
                                   BinDir() + "/berth --socket " + host_.socket() +
                                       " exec vm -- yes | head -n 1; echo ${PIPESTATUS[0]}"});
  EXPECT_EQ(head.out, "y\n141\n") << head;
  EXPECT_EQ(head.err, "");
  EXPECT_EQ(Shell("n=0; while pidof yes >/dev/null; do n=$((n+1)); [ $n -lt 500 ] || exit 1; "
                  "usleep 20000; done")
                .code,
            0);
}

TEST_F(Endurance, AProgramThatClosesItsStdinEarlyEndsAllTheSame) {
  const Outcome outcome =
      host_.Berth({"exec", "-i", "vm", "--", "sh", "-c", "exec <&-; echo closed; exit 4"},
                  {.stdin_data = std::string(16 << 20, 'x')});
  EXPECT_EQ(outcome.code, 4) << outcome.err;
  EXPECT_EQ(outcome.out, "closed\n");
}

// The reader stops for half a minute and goes on; all is there.
TEST_F(Endurance, AReaderThatStopsForThirtySecondsLosesNothing) {
  const auto before = Footprint();
  auto reader = std::make_unique<Process>(std::vector<std::string>{
      "bash", "-c",
      BinDir() + "/berth --socket " + host_.socket() +
          " exec vm -- seq 1 3000000 | (read first; sleep 30; tail -n 1)"});
  // Others are not held up meanwhile.
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Run({"true"}).code, 0U);
  const auto during = Footprint().at("rss_kib");
  if (!GuestIsSanitized()) EXPECT_LE(during, before.at("rss_kib") + 512);
  const Outcome outcome = reader->Wait(Deadline::In(kCommandTimeout));
  EXPECT_EQ(outcome.out, "3000000\n") << outcome;
}

TEST_F(Endurance, ATerminalResizedAllTheTimeEndsAtItsLastSize) {
  int leader = -1;
  winsize size = {.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
  const pid_t pid = forkpty(&leader, nullptr, nullptr, &size);
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    const std::string berth = BinDir() + "/berth";
    const std::string socket = host_.socket();
    execl(berth.c_str(), "berth", "--socket", socket.c_str(), "exec", "-it", "vm", "--", "sh", "-c",
          "while :; do stty size; done", nullptr);
    _exit(127);
  }
  const UniqueFd leader_fd(leader);
  std::string screen;
  const auto read_until = [&](const std::string& text) {
    const Deadline deadline = Deadline::In(60s);
    while (!screen.contains(text) && PollFor(leader, POLLIN, deadline)) {
      char chunk[4096];
      const ssize_t n = read(leader, chunk, sizeof(chunk));
      if (n <= 0) return false;
      screen.append(chunk, static_cast<size_t>(n));
    }
    return screen.contains(text);
  };
  ASSERT_TRUE(read_until("24 80\r\n")) << screen;
  for (int i = 0; i < 2000; ++i) {
    size.ws_row = static_cast<uint16_t>(10 + i % 90);
    size.ws_col = static_cast<uint16_t>(20 + i % 230);
    ASSERT_EQ(ioctl(leader, TIOCSWINSZ, &size), 0);
    // Some of its output is read in between, as a terminal does.
    if (i % 50 == 0) ASSERT_TRUE(read_until("\n"));
    screen.clear();
  }
  size.ws_row = 111;
  size.ws_col = 222;
  ASSERT_EQ(ioctl(leader, TIOCSWINSZ, &size), 0);
  EXPECT_TRUE(read_until("111 222\r\n")) << screen.substr(0, 400);
  ASSERT_EQ(write(leader, "\x03", 1), 1);
  EXPECT_FALSE(read_until("that it ends")) << "nothing says that";
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 130);
}

TEST_F(Endurance, AGuestWithoutProcessesToSpareSaysSo) {
  // The one that lifts the limit runs before it is set: nothing could be started for that later.
  auto limit = host_.StartBerth({"exec", "-i", "vm", "--", "sh", "-c",
                                 "cd /proc/sys/kernel; old=$(cat threads-max); echo 20 > "
                                 "threads-max; echo low; read line; echo $old > threads-max"});
  ASSERT_TRUE(limit->WaitForOutput("low", Deadline::In(30s))) << limit->so_far();
  const Outcome refused = Shell("true");
  EXPECT_EQ(refused.code, 125) << refused;
  EXPECT_TRUE(refused.err.contains("EAGAIN")) << refused;
  EXPECT_TRUE(refused.err.contains("limit of processes")) << refused;
  limit->WriteStdin("\n");
  EXPECT_EQ(limit->Wait(Deadline::In(30s)).code, 0);
  EXPECT_EQ(Shell("echo fine").out, "fine\n");
}

TEST_F(Endurance, AGuestWithAFullDiskStillRunsCommandsThatSaySo) {
  const Outcome full = Shell("cat /dev/zero > /tmp/fill; echo rest > /tmp/other");
  EXPECT_NE(full.code, 0);
  EXPECT_TRUE(full.err.contains("No space left on device")) << full;
  EXPECT_EQ(Shell("echo fine").out, "fine\n");
}

}  // namespace
}  // namespace berth::e2e
