// SPDX-License-Identifier: Apache-2.0
//
// Exec sessions as a caller sees them: real programs, the real agent, the real client.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <set>

#include "tests/agent/agent_rig.h"

namespace berth::testing {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

TEST(ExecTest, ExitCodeAndSignalAreToldApart) {
  const AgentRig rig;
  const Finished coded = rig.Run(Shell("exit 137"));
  ASSERT_TRUE(coded.outcome) << coded.Why();
  EXPECT_EQ(coded.outcome->code, 137u);
  EXPECT_FALSE(coded.outcome->signal);

  const Finished killed = rig.Run(Shell("kill -KILL $$"));
  ASSERT_TRUE(killed.outcome) << killed.Why();
  EXPECT_EQ(killed.outcome->signal, static_cast<uint32_t>(SIGKILL));
  EXPECT_FALSE(killed.outcome->code);
}

TEST(ExecTest, StdoutAndStderrAreKeptApart) {
  const AgentRig rig;
  const Finished run = rig.Run(Shell("echo out; echo err >&2; exit 7"));
  EXPECT_EQ(run.Code(), 7u) << run.Why();
  EXPECT_EQ(run.out, "out\n");
  EXPECT_EQ(run.err, "err\n");
}

TEST(ExecTest, ExecDrainsAllOutputAfterExit) {
  const AgentRig rig;
  // More than a pipe holds is written while the program lives; the last pipeful stays behind it.
  const Finished run = rig.Run(Shell("head -c 3000000 /dev/zero; head -c 65536 /dev/zero >&2"));
  EXPECT_EQ(run.Code(), 0u) << run.Why();
  EXPECT_EQ(run.out.size(), 3000000u);
  EXPECT_EQ(run.err.size(), 65536u);
  EXPECT_FALSE(run.outcome->output_held);
}

TEST(ExecTest, ExecReturnsWhenBackgroundChildHoldsStdout) {
  const AgentRig rig;
  const Finished run = rig.Run(Shell("sleep 1000 & echo $!; exit 3"));
  EXPECT_EQ(run.Code(), 3u) << run.Why();
  EXPECT_TRUE(run.outcome->output_held);
  const int background = std::stoi(run.out);
  EXPECT_EQ(kill(background, 0), 0) << "a session that ends by itself leaves its children alone";
  kill(background, SIGKILL);
}

TEST(ExecTest, BackgroundChildThatNeverStopsWritingDoesNotHoldTheSession) {
  const AgentRig rig;
  const Finished run = rig.Run(Shell("yes & echo $! >&2; exit 3"));
  EXPECT_EQ(run.Code(), 3u) << run.Why();
  kill(std::stoi(run.err), SIGKILL);
}

TEST(ExecTest, ClosedStdinReadsAsEndOfFile) {
  const AgentRig rig;
  const Finished run = rig.Run(Command({"cat"}));
  EXPECT_EQ(run.Code(), 0u) << run.Why();
  EXPECT_EQ(run.out, "");
}

TEST(ExecTest, StdinHalfCloseReachesTheProgramAndOutputStillComes) {
  const AgentRig rig;
  v1::ExecStart request = Shell("cat; echo after");
  request.set_stdin_open(true);
  const Finished run = rig.Run(request, "one\ntwo\n");
  EXPECT_EQ(run.Code(), 0u) << run.Why();
  EXPECT_EQ(run.out, "one\ntwo\nafter\n");
}

TEST(ExecTest, BinaryBothDirectionsIsByteExact) {
  const AgentRig rig;
  std::string bytes(8 * 1024 * 1024 + 13, '\0');
  uint64_t state = 1;
  for (char& each : bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    each = static_cast<char>(state >> 56);
  }
  v1::ExecStart request = Command({"cat"});
  request.set_stdin_open(true);
  const Finished run = rig.Run(request, bytes);
  EXPECT_EQ(run.Code(), 0u) << run.Why();
  EXPECT_TRUE(run.out == bytes) << run.out.size() << " of " << bytes.size() << " bytes";
}

TEST(ExecTest, ProgramThatIgnoresItsStdinEndsAlthoughMoreComes) {
  const AgentRig rig;
  v1::ExecStart request = Shell("exec <&-; echo closed; exit 4");
  request.set_stdin_open(true);
  const Finished run = rig.Run(request, std::string(4 * 1024 * 1024, 'x'));
  EXPECT_EQ(run.Code(), 4u) << run.Why();
  EXPECT_EQ(run.out, "closed\n");
}

TEST(ExecTest, EnvironmentHasDefaultsAndTheRequestWins) {
  const AgentRig rig;
  v1::ExecStart request = Shell("echo $HOME:$USER:$A:$PATH");
  request.add_env("A=1");
  request.add_env("A=2 3");
  request.add_env("PATH=/bin:/usr/bin");
  const Finished run = rig.Run(request);
  EXPECT_EQ(run.out, "/root:root:2 3:/bin:/usr/bin\n") << run.Why();
}

TEST(ExecTest, WorkingDirectoryIsTheRequestsElseTheUsersHome) {
  const AgentRig rig;
  v1::ExecStart request = Command({"pwd"});
  EXPECT_EQ(rig.Run(request).out, "/root\n");
  request.set_cwd("/usr");
  EXPECT_EQ(rig.Run(request).out, "/usr\n");
  request.set_cwd("/nowhere");
  const Finished run = rig.Run(request);
  ASSERT_FALSE(run.outcome);
  EXPECT_EQ(run.outcome.error().errnum, ENOENT);
  EXPECT_THAT(run.Why(), HasSubstr("chdir: /nowhere"));
}

TEST(ExecTest, UserAndGroupsComeFromTheGuestsFiles) {
  const AgentRig rig;
  v1::ExecStart request = Shell("id -u; id -g; id -G; echo $HOME");
  request.set_user("daemon");
  request.add_groups("tty");
  request.add_groups("4711");
  const Finished run = rig.Run(request);
  EXPECT_EQ(run.out, "1\n1\n1 5 4711\n/usr/sbin\n") << run.Why();

  v1::ExecStart numeric = Shell("id -u; id -g");
  numeric.set_user("54321");
  numeric.set_group("65000");
  EXPECT_EQ(rig.Run(numeric).out, "54321\n65000\n");
}

TEST(ExecTest, UnknownUserIsNamed) {
  const AgentRig rig;
  v1::ExecStart request = Command({"true"});
  request.set_user("nobody-here");
  const Finished run = rig.Run(request);
  ASSERT_FALSE(run.outcome);
  EXPECT_EQ(run.outcome.error().step, Step("guest"));
  EXPECT_EQ(run.outcome.error().errnum, ENOENT);
  EXPECT_THAT(run.Why(), HasSubstr("nobody-here"));
}

TEST(ExecTest, MissingProgramSaysWhereItWasSought) {
  const AgentRig rig;
  const Finished run = rig.Run(Command({"no-such-program"}));
  ASSERT_FALSE(run.outcome);
  EXPECT_EQ(run.outcome.error().errnum, ENOENT);
  EXPECT_THAT(run.Why(), HasSubstr("exec: no-such-program"));
  EXPECT_THAT(run.Why(), HasSubstr("PATH (/usr/local/sbin:"));
}

TEST(ExecTest, DirectoryIsNotExecutable) {
  const AgentRig rig;
  const Finished run = rig.Run(Command({"/usr"}));
  ASSERT_FALSE(run.outcome);
  EXPECT_EQ(run.outcome.error().errnum, EACCES);
}

TEST(ExecTest, ImpossibleRequestsAreRefusedBeforeAnythingRuns) {
  const AgentRig rig;
  v1::ExecStart request = Command({"true"});
  request.add_env("no-equals-sign");
  const Finished run = rig.Run(request);
  ASSERT_FALSE(run.outcome);
  EXPECT_EQ(run.outcome.error().errnum, EINVAL);
  EXPECT_THAT(run.Why(), HasSubstr("request:"));
}

TEST(ExecTest, RlimitsHoldAndTheAgentsOwnAreNotInherited) {
  const AgentRig rig;
  v1::ExecStart request = Shell("ulimit -n; ulimit -f");
  auto* limit = request.add_rlimits();
  limit->set_resource(1);  // RLIMIT_FSIZE
  limit->set_soft(512 * 8);
  limit->set_hard(512 * 8);
  const Finished run = rig.Run(request);
  rlimit mine{};
  getrlimit(RLIMIT_NOFILE, &mine);
  ASSERT_EQ(run.Code(), 0u) << run.Why();
  EXPECT_THAT(run.out, HasSubstr("\n8\n"));
  EXPECT_LE(std::stoul(run.out), mine.rlim_cur);
}

TEST(ExecTest, ResourceUseIsReported) {
  const AgentRig rig;
  const Finished run = rig.Run(Shell("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"));
  ASSERT_TRUE(run.outcome) << run.Why();
  EXPECT_GT(run.outcome->pid, 0u);
  EXPECT_GT(run.outcome->user_us + run.outcome->system_us, 0u);
  EXPECT_GT(run.outcome->max_rss_kib, 0u);
  EXPECT_GE(run.outcome->wall_us, run.outcome->user_us / 2);
}

TEST(ExecTest, TimeoutKillsAndSaysSo) {
  const AgentRig rig;
  v1::ExecStart request = Shell("sleep 1000");
  request.set_timeout_ms(50);
  const Finished run = rig.Run(request);
  ASSERT_TRUE(run.outcome) << run.Why();
  EXPECT_TRUE(run.outcome->timed_out);
  EXPECT_EQ(run.outcome->signal, static_cast<uint32_t>(SIGTERM));
}

TEST(ExecTest, TimeoutKillsWhatIgnoresTheTermSignal) {
  const AgentRig rig;
  v1::ExecStart request = Shell("trap '' TERM; echo ready; while :; do sleep 1000; done");
  request.set_timeout_ms(300);
  request.set_kill_grace_ms(50);
  const Finished run = rig.Run(request);
  ASSERT_TRUE(run.outcome) << run.Why();
  EXPECT_EQ(run.out, "ready\n");
  EXPECT_TRUE(run.outcome->timed_out);
  EXPECT_EQ(run.outcome->signal, static_cast<uint32_t>(SIGKILL));
  EXPECT_FALSE(run.outcome->output_held) << "the group was killed with its leader";
}

TEST(ExecTest, TwoHundredSessionsAtOnce) {
  const AgentRig rig;
  // Each waits for a line that is written only when all of them run.
  std::vector<UniqueFd> gates;
  std::vector<std::thread> threads;
  std::vector<Finished> runs(200);
  std::vector<Pipe> in(runs.size());
  std::vector<Pipe> out(runs.size());
  for (size_t i = 0; i < runs.size(); ++i) {
    threads.emplace_back([&, i] {
      v1::ExecStart request = Shell("echo up; read line; echo $line");
      request.set_stdin_open(true);
      runs[i].outcome = guest::RunExecSession(rig.Open(request), {.stdin_fd = in[i].read.get(),
                                                                  .stdout_fd = out[i].write.get(),
                                                                  .stderr_fd = 2,
                                                                  .stdin_open = true,
                                                                  .tty = false,
                                                                  .take_signals = false});
      out[i].write.Reset();
    });
  }
  for (size_t i = 0; i < runs.size(); ++i) {
    char up[3];
    ASSERT_EQ(read(out[i].read.get(), up, 3), 3);
  }
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::string line = "session " + std::to_string(i) + "\n";
    ASSERT_EQ(write(in[i].write.get(), line.data(), line.size()),
              static_cast<ssize_t>(line.size()));
  }
  for (size_t i = 0; i < runs.size(); ++i) {
    EXPECT_EQ(ReadAll(out[i].read.get()), "session " + std::to_string(i) + "\n");
    threads[i].join();
    EXPECT_EQ(runs[i].Code(), 0u) << runs[i].Why();
  }
}

TEST(ExecTest, ManyShortSessionsLeakNothing) {
  AgentRig rig;
  const auto open_files = [] {
    size_t count = 0;
    for (int fd = 0; fd < 1024; ++fd) count += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    return count;
  };
  EXPECT_EQ(rig.Run(Command({"true"})).Code(), 0u);
  ASSERT_TRUE(Eventually([&] { return rig.Connections() == 0; }));
  const size_t before = open_files();
  for (int i = 0; i < 300; ++i) ASSERT_EQ(rig.Run(Command({"true"})).Code(), 0u);
  ASSERT_TRUE(Eventually([&] { return rig.Connections() == 0; }));
  EXPECT_EQ(open_files(), before);
}

}  // namespace
}  // namespace berth::testing
