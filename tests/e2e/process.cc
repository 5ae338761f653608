// SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <ostream>

#include "protocol/base/io.h"
#include "protocol/base/spawn.h"

extern char** environ;

namespace berth::e2e {
namespace {

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Pipe MakePipe() {
  int fds[2] = {-1, -1};
  if (pipe2(fds, O_CLOEXEC) != 0) ADD_FAILURE() << "pipe2: " << ErrnoName(errno);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& each : strings) pointers.push_back(const_cast<char*>(each.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

std::ostream& operator<<(std::ostream& stream, const Outcome& outcome) {
  return stream << "code " << outcome.code << ", signal " << outcome.signal
                << (outcome.timed_out ? ", timed out" : "") << "\n--- stdout\n"
                << outcome.out.substr(0, 4096) << "\n--- stderr\n"
                << outcome.err.substr(0, 4096);
}

Process::Process(std::vector<std::string> argv, RunOptions options)
    : stdin_left_(std::move(options.stdin_data)) {
  // A program that ends early must not end the test.
  signal(SIGPIPE, SIG_IGN);
  Pipe in = MakePipe();
  Pipe out = MakePipe();
  Pipe err = MakePipe();
  std::vector<std::string> env;
  for (char** each = environ; *each != nullptr; ++each) env.emplace_back(*each);
  for (const std::string& each : options.env) {
    const std::string prefix = each.substr(0, each.find('=') + 1);
    std::erase_if(env, [&](const std::string& old) { return old.starts_with(prefix); });
    env.push_back(each);
  }
  const std::vector<char*> argv_pointers = Pointers(argv);
  const std::vector<char*> env_pointers = Pointers(env);
  const std::array fds = {SpawnFd{in.read.get(), 0}, SpawnFd{out.write.get(), 1},
                          SpawnFd{err.write.get(), 2}};
  SpawnPlan plan;
  plan.program = argv_pointers[0];
  plan.search_path = getenv("PATH");
  plan.argv = argv_pointers.data();
  plan.envp = env_pointers.data();
  plan.fds = fds;
  plan.parent_death_signal = SIGKILL;
  if (options.uid) plan.credentials = SpawnCredentials{*options.uid, *options.uid, {}};
  auto child = Spawn(plan);
  if (!child) {
    ADD_FAILURE() << argv[0] << ": " << child.error().Message();
    reaped_ = true;
    return;
  }
  pid_ = child->pid;
  pidfd_ = std::move(child->pidfd);
  stdin_ = std::move(in.write);
  stdout_ = std::move(out.read);
  stderr_ = std::move(err.read);
  for (const UniqueFd* fd : {&stdin_, &stdout_, &stderr_}) {
    if (!SetNonBlocking(fd->get(), true)) ADD_FAILURE() << "O_NONBLOCK";
  }
}

Process::~Process() {
  if (reaped_) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void Process::Signal(int signal) const {
  if (!reaped_) syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0);
}

void Process::WriteStdin(const std::string& data) { stdin_left_ += data; }

void Process::Drain(UniqueFd& fd, std::string& into) {
  std::array<char, 64 * 1024> chunk;
  for (;;) {
    const ssize_t n = read(fd.get(), chunk.data(), chunk.size());
    if (n > 0) {
      into.append(chunk.data(), static_cast<size_t>(n));
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) fd.Reset();
    return;
  }
}

bool Process::Step(Deadline deadline) {
  if (reaped_ && !stdout_ && !stderr_) return false;
  if (close_stdin_after_data_ && stdin_left_.empty()) stdin_.Reset();
  std::array<pollfd, 4> watched = {
      pollfd{stdin_left_.empty() ? -1 : stdin_.get(), POLLOUT, 0},
      pollfd{reading_ ? stdout_.get() : -1, POLLIN, 0},
      pollfd{reading_ ? stderr_.get() : -1, POLLIN, 0},
      pollfd{reaped_ ? -1 : pidfd_.get(), POLLIN, 0},
  };
  if (poll(watched.data(), watched.size(), deadline.PollTimeoutMs()) < 0) return errno == EINTR;
  if (watched[0].revents != 0) {
    const ssize_t n = write(stdin_.get(), stdin_left_.data(), stdin_left_.size());
    if (n > 0) stdin_left_.erase(0, static_cast<size_t>(n));
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
      stdin_left_.clear();
      stdin_.Reset();
    }
  }
  if (watched[1].revents != 0) Drain(stdout_, outcome_.out);
  if (watched[2].revents != 0) Drain(stderr_, outcome_.err);
  if (watched[3].revents != 0) {
    int status = 0;
    if (waitpid(pid_, &status, 0) == pid_) {
      reaped_ = true;
      if (WIFEXITED(status)) outcome_.code = WEXITSTATUS(status);
      if (WIFSIGNALED(status)) outcome_.signal = WTERMSIG(status);
    }
  }
  return true;
}

bool Process::WaitForOutput(const std::string& text, Deadline deadline) {
  for (;;) {
    if (outcome_.out.contains(text) || outcome_.err.contains(text)) return true;
    if (deadline.Passed() || !Step(deadline)) return false;
  }
}

Outcome Process::Wait(Deadline deadline) {
  close_stdin_after_data_ = true;
  while (Step(deadline)) {
    if (!deadline.Passed()) continue;
    outcome_.timed_out = true;
    Signal(SIGKILL);
    stdout_.Reset();
    stderr_.Reset();
    if (!reaped_) waitpid(pid_, nullptr, 0);
    reaped_ = true;
  }
  return outcome_;
}

Outcome RunCommand(std::vector<std::string> argv, RunOptions options) {
  const Deadline deadline = Deadline::In(options.timeout);
  Process process(std::move(argv), std::move(options));
  return process.Wait(deadline);
}

}  // namespace berth::e2e
