// SPDX-License-Identifier: Apache-2.0
#include "protocol/base/spawn.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace berth {
namespace {

using ::testing::HasSubstr;

struct Ended {
  int status = -1;
  std::string out;
};

// A plan whose stdout is a pipe, and the running of it.
class SpawnTest : public ::testing::Test {
 protected:
  SpawnTest() {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    read_.Reset(ends[0]);
    write_.Reset(ends[1]);
    plan_.envp = const_cast<char* const*>(kEnvironment);
  }
  void Command(std::vector<std::string> argv) {
    strings_ = std::move(argv);
    argv_.clear();
    for (std::string& each : strings_) argv_.push_back(each.data());
    argv_.push_back(nullptr);
    plan_.program = argv_[0];
    plan_.argv = argv_.data();
  }
  void Shell(std::string script) { Command({"/bin/sh", "-c", std::move(script)}); }

  Result<Ended> Run() {
    std::vector<SpawnFd> fds(fds_);
    fds.push_back({write_.get(), STDOUT_FILENO});
    plan_.fds = fds;
    BERTH_ASSIGN(const Spawned child, Spawn(plan_));
    write_.Reset();
    Ended ended;
    char chunk[4096];
    for (ssize_t n; (n = read(read_.get(), chunk, sizeof(chunk))) > 0;) {
      ended.out.append(chunk, static_cast<size_t>(n));
    }
    EXPECT_EQ(waitpid(child.pid, &ended.status, 0), child.pid);
    return ended;
  }
  std::string Output() {
    const auto ended = Run();
    EXPECT_TRUE(ended) << ended.error().Message();
    return ended ? ended->out : "";
  }

  static constexpr const char* kEnvironment[] = {"PATH=/usr/bin:/bin", "A=b", nullptr};
  SpawnPlan plan_;
  std::vector<SpawnFd> fds_;
  std::vector<std::string> strings_;
  std::vector<char*> argv_;
  UniqueFd read_;
  UniqueFd write_;
};

TEST_F(SpawnTest, RunsWithItsOwnArgumentsEnvironmentAndDirectory) {
  Shell("echo $0 $A; pwd; umask");
  plan_.cwd = "/usr";
  EXPECT_EQ(Output(), "/bin/sh b\n/usr\n0022\n");
}

TEST_F(SpawnTest, SearchesThePathOfThePlan) {
  Command({"echo", "found"});
  plan_.search_path = "/nowhere::/usr/bin:/bin";
  EXPECT_EQ(Output(), "found\n");
}

TEST_F(SpawnTest, PidfdTellsTheEnd) {
  Shell("exit 3");
  const auto child = Spawn(plan_);
  ASSERT_TRUE(child);
  pollfd watched{.fd = child->pidfd.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&watched, 1, 60'000), 1);
  int status = 0;
  EXPECT_EQ(waitpid(child->pid, &status, WNOHANG), child->pid);
  EXPECT_EQ(WEXITSTATUS(status), 3);
}

TEST_F(SpawnTest, ChildHoldsOpenWhatIsNamedAndNothingElse) {
  // Without CLOEXEC, so that only the plan keeps it from the child; and far up.
  const UniqueFd stray(fcntl(read_.get(), F_DUPFD, 200));
  ASSERT_TRUE(stray);
  fds_ = {{write_.get(), 7}};
  Shell("ls /proc/self/fd | tr '\\n' ' '");
  // 3 or so is ls's own descriptor of the directory.
  const std::string out = Output();
  EXPECT_THAT(out, HasSubstr("1 "));
  EXPECT_THAT(out, HasSubstr("7 "));
  EXPECT_EQ(out.find("200"), std::string::npos) << out;
  EXPECT_FALSE(out.starts_with("0 1 2 ")) << "stderr was not named: " << out;
}

TEST_F(SpawnTest, DescriptorsMaySwapPlaces) {
  int a[2];
  int b[2];
  ASSERT_EQ(pipe(a), 0);
  ASSERT_EQ(pipe(b), 0);
  const UniqueFd ra(a[0]), wa(a[1]), rb(b[0]), wb(b[1]);
  fds_ = {{wa.get(), wb.get()}, {wb.get(), wa.get()}};
  Shell("echo A >&" + std::to_string(wa.get()) + "; echo B >&" + std::to_string(wb.get()));
  ASSERT_TRUE(Run());
  char text[2];
  ASSERT_EQ(read(rb.get(), text, 2), 2);
  EXPECT_EQ(text[0], 'A');
  ASSERT_EQ(read(ra.get(), text, 2), 2);
  EXPECT_EQ(text[0], 'B');
}

TEST_F(SpawnTest, SignalsAreAsForANewProgram) {
  sigset_t blocked;
  sigset_t old;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &blocked, &old);
  const auto previous = signal(SIGUSR2, SIG_IGN);
  Command({"grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"});
  plan_.search_path = "/usr/bin:/bin";
  const std::string out = Output();
  signal(SIGUSR2, previous);
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  EXPECT_EQ(out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST_F(SpawnTest, OnlyChangedSignalsAreSetBack) {
  const auto previous = signal(SIGUSR2, SIG_IGN);
  plan_.changed_signals = uint64_t{1} << (SIGPIPE - 1);
  Command({"grep", "SigIgn", "/proc/self/status"});
  plan_.search_path = "/usr/bin:/bin";
  const std::string out = Output();
  signal(SIGUSR2, previous);
  EXPECT_THAT(out, HasSubstr("0800")) << "SIGUSR2 was left out";
}

TEST_F(SpawnTest, NewSessionLeadsItsOwnGroup) {
  Shell("read pid name state parent group session rest < /proc/$$/stat; echo $pid $group $session");
  plan_.new_session = true;
  const std::string out = Output();
  int pid = 0, group = 1, session = 2;
  ASSERT_EQ(std::sscanf(out.c_str(), "%d %d %d", &pid, &group, &session), 3);
  EXPECT_EQ(pid, group);
  EXPECT_EQ(pid, session);
}

TEST_F(SpawnTest, CredentialsAndLimitsHold) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const gid_t groups[] = {20, 30};
  plan_.credentials = SpawnCredentials{1, 2, groups};
  const SpawnRlimit limits[] = {{RLIMIT_NOFILE, {33, 44}}};
  plan_.rlimits = limits;
  plan_.no_new_privs = true;
  Shell("id -u; id -g; id -G; ulimit -Sn; ulimit -Hn; grep NoNewPrivs /proc/self/status");
  EXPECT_EQ(Output(), "1\n2\n2 20 30\n33\n44\nNoNewPrivs:\t1\n");
}

constexpr uint64_t kNetBindService = uint64_t{1} << 10;
constexpr const char* kShowCapabilities =
    "for set in Inh Prm Eff Bnd Amb; do grep Cap$set /proc/self/status | cut -f 2; done";

TEST_F(SpawnTest, AUserKeepsExactlyTheCapabilitiesNamed) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  plan_.credentials = SpawnCredentials{1, 2, {}};
  plan_.capabilities = kNetBindService;
  Shell(kShowCapabilities);
  const std::string one = "0000000000000400\n";
  EXPECT_EQ(Output(), one + one + one + one + one);
}

TEST_F(SpawnTest, RootIsBoundByTheCapabilitiesToo) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  plan_.capabilities = kNetBindService;
  Shell(std::string(kShowCapabilities) + "; chown 1 /proc/self/fd/1 2>/dev/null || echo refused");
  const std::string one = "0000000000000400\n";
  EXPECT_EQ(Output(), one + one + one + one + one + "refused\n");
}

TEST_F(SpawnTest, NoCapabilityAtAllMayBeNamed) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  plan_.capabilities = 0;
  Shell(kShowCapabilities);
  const std::string none = "0000000000000000\n";
  EXPECT_EQ(Output(), none + none + none + none + none);
}

TEST_F(SpawnTest, ChildFindsItsOwnNumberInItsEnvironment) {
  char variable[8 + kSpawnPidBytes] = "MY_PID=";
  char* const environment[] = {variable, nullptr};
  plan_.envp = environment;
  plan_.pid_text = variable + 7;
  Shell("echo $MY_PID $$");
  const std::string out = Output();
  int told = 0, own = 1;
  ASSERT_EQ(std::sscanf(out.c_str(), "%d %d", &told, &own), 2) << out;
  EXPECT_EQ(told, own);
}

TEST_F(SpawnTest, ChildDiesWithTheThreadThatAsked) {
  Command({"/bin/sleep", "1000"});
  plan_.parent_death_signal = SIGKILL;
  // The thread that spawns is the parent: a process of its own here.
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t parent = fork();
  if (parent == 0) {
    const auto child = Spawn(plan_);
    const pid_t pid = child ? child->pid : -1;
    [[maybe_unused]] const ssize_t n = write(ends[1], &pid, sizeof(pid));
    _exit(0);
  }
  pid_t child = -1;
  ASSERT_EQ(read(ends[0], &child, sizeof(child)), static_cast<ssize_t>(sizeof(child)));
  ASSERT_GT(child, 0);
  const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  if (pidfd) {
    pollfd watched{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(poll(&watched, 1, 60'000), 1);
  }
  waitpid(parent, nullptr, 0);
  close(ends[0]);
  close(ends[1]);
}

TEST_F(SpawnTest, FailuresNameTheStepAndLeaveNoChild) {
  Command({"/no/such/program"});
  auto failed = Spawn(plan_);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().step, Step("exec"));
  EXPECT_EQ(failed.error().errnum, ENOENT);
  EXPECT_EQ(failed.error().detail, "/no/such/program");

  Shell("true");
  plan_.cwd = "/no/such/directory";
  failed = Spawn(plan_);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().step, Step("chdir"));
  EXPECT_EQ(failed.error().detail, "/no/such/directory");
  plan_.cwd = nullptr;

  plan_.controlling_tty = 0;  // not a terminal, and no new session
  failed = Spawn(plan_);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().step, Step("controlling-tty"));
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "no child is left";
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(SpawnTest, ForbiddenDirectoryInThePathDoesNotHideALaterProgram) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  Command({"echo", "found"});
  plan_.search_path = "/root:/usr/bin:/bin";
  plan_.credentials = SpawnCredentials{1, 1, {}};
  EXPECT_EQ(Output(), "found\n");
}

}  // namespace
}  // namespace berth
