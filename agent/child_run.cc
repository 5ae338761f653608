// SPDX-License-Identifier: Apache-2.0
#include "agent/child_run.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "protocol/base/io.h"
#include "protocol/wire/readiness.h"

namespace berth::agent {

namespace asio = boost::asio;

namespace {

constexpr const char* kSearchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr const char* kRunEnvironment[] = {
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", nullptr};
constexpr size_t kReadBytes = 16 * 1024;
// Of what is in the pipe when the program has ended: who holds it open and writes on is not read.
constexpr int kDrainReads = 64;

}  // namespace

Result<std::shared_ptr<ChildRun>> ChildRun::Start(const asio::any_io_executor& executor,
                                                  const Plan& plan, const ExecDefaults& defaults) {
  auto run = std::make_shared<ChildRun>(executor);
  run->cgroup_ = plan.cgroup;
  run->max_output_bytes_ = plan.max_output_bytes;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoError("pipe");
  UniqueFd read_end(ends[0]);
  const UniqueFd write_end(ends[1]);
  BERTH_TRY(SetNonBlocking(read_end.get(), true));
  UniqueFd procs;
  if (!plan.cgroup.empty()) {
    procs.Reset(open((plan.cgroup + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
    if (!procs) return ErrnoError("cgroup", plan.cgroup);
  }
  std::vector<char*> argv;
  for (const std::string& each : plan.argv) argv.push_back(const_cast<char*>(each.c_str()));
  argv.push_back(nullptr);
  const SpawnFd fds[] = {{defaults.dev_null.get(), STDIN_FILENO},
                         {write_end.get(), STDOUT_FILENO},
                         {write_end.get(), STDERR_FILENO}};
  // The agent's own limit of open files is not its children's affair.
  const SpawnRlimit limits[] = {{RLIMIT_NOFILE, defaults.open_files}};
  SpawnPlan spawn;
  spawn.program = argv[0];
  spawn.search_path = kSearchPath;
  spawn.argv = argv.data();
  spawn.envp = const_cast<char* const*>(kRunEnvironment);
  spawn.cwd = "/";
  spawn.fds = fds;
  spawn.new_session = true;
  spawn.rlimits = limits;
  spawn.cgroup_procs = procs.get();
  spawn.parent_death_signal = SIGKILL;
  spawn.changed_signals = uint64_t{1} << (SIGPIPE - 1);
  spawn.reset_scheduling = true;
  BERTH_ASSIGN(Spawned spawned, Spawn(spawn));
  run->pid_ = spawned.pid;
  run->pidfd_.assign(spawned.pidfd.Release());
  run->output_fd_.assign(read_end.Release());
  asio::co_spawn(executor, ReadOutput(run), asio::detached);
  return run;
}

ChildRun::~ChildRun() {
  if (pid_ <= 0 || reaped_) return;
  Kill();
  // The agent's context ends with it inside; PID 1 reaps what is left.
  waitid(P_PID, static_cast<id_t>(pid_), nullptr, WEXITED | WNOHANG);
}

asio::awaitable<void> ChildRun::ReadOutput(std::shared_ptr<ChildRun> self) {
  boost::system::error_code code;
  while (self->output_fd_.is_open()) {
    co_await self->output_fd_.async_wait(asio::posix::stream_descriptor::wait_read,
                                         asio::redirect_error(asio::use_awaitable, code));
    if (code || !self->Drain()) co_return;
  }
}

bool ChildRun::Drain() {
  if (!output_fd_.is_open()) return false;
  char chunk[kReadBytes];
  const ssize_t n = read(output_fd_.native_handle(), chunk, sizeof(chunk));
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  if (n == 0) return false;
  output_.append(chunk, static_cast<size_t>(n));
  if (output_.size() > max_output_bytes_) output_.erase(0, output_.size() - max_output_bytes_);
  return true;
}

asio::awaitable<bool> ChildRun::Await(Deadline deadline) {
  const auto self = shared_from_this();
  if (reaped_) co_return true;
  if (co_await wire::AwaitReady(pidfd_, asio::posix::stream_descriptor::wait_read, deadline)) {
    co_return false;
  }
  // While it is a zombie its group is its own.
  Kill();
  siginfo_t info = {};
  if (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG) == 0) {
    (info.si_code == CLD_EXITED ? code_ : signal_) = info.si_status;
  }
  reaped_ = true;
  for (int i = 0; i < kDrainReads; ++i) {
    const size_t before = output_.size();
    if (!Drain() || (output_.size() == before && before < max_output_bytes_)) break;
  }
  boost::system::error_code ignored;
  output_fd_.close(ignored);
  co_return true;
}

void ChildRun::KillCgroup() const {
  if (cgroup_.empty()) return;
  // Linux before 5.14 has no such file, and kills by session below.
  [[maybe_unused]] const auto killed = WriteKnob((cgroup_ + "/cgroup.kill").c_str(), "1");
}

void ChildRun::Kill() {
  if (pid_ <= 0 || reaped_) return;
  KillCgroup();
  kill(-pid_, SIGKILL);
  kill(pid_, SIGKILL);
}

std::string ChildRun::HowItEnded() const {
  if (signal_ != 0) return "signal " + std::to_string(signal_);
  return code_ == 0 ? "" : "exit code " + std::to_string(code_);
}

}  // namespace berth::agent
