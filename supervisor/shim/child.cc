// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shim/child.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/base/io.h"
#include "protocol/base/spawn.h"

namespace berth::shim {
namespace {

Result<ChildPipe> MakePipe(bool from_child) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoError("pipe");
  ChildPipe pipe{UniqueFd(ends[from_child ? 0 : 1]), UniqueFd(ends[from_child ? 1 : 0])};
  BERTH_TRY(SetNonBlocking(pipe.ours.get(), true));
  return pipe;
}

}  // namespace

Result<ChildPipe> ChildPipe::FromChild() { return MakePipe(true); }
Result<ChildPipe> ChildPipe::ToChild() { return MakePipe(false); }

std::vector<std::string> Substitute(
    const std::vector<std::string>& argv,
    std::span<const std::pair<std::string_view, std::string>> replacements) {
  std::vector<std::string> out = argv;
  for (std::string& arg : out) {
    for (const auto& [placeholder, text] : replacements) {
      for (size_t at = arg.find(placeholder); at != arg.npos;
           at = arg.find(placeholder, at + text.size())) {
        arg.replace(at, placeholder.size(), text);
      }
    }
  }
  return out;
}

Result<Child> Child::Start(const std::vector<std::string>& argv, std::span<const ChildFd> fds) {
  std::vector<std::pair<std::string_view, std::string>> replacements;
  std::vector<SpawnFd> placed;
  for (size_t i = 0; i < fds.size(); ++i) {
    placed.push_back({fds[i].fd, static_cast<int>(i)});
    if (!fds[i].placeholder.empty()) {
      replacements.emplace_back(fds[i].placeholder, std::to_string(i));
    }
  }
  const std::vector<std::string> args = Substitute(argv, replacements);
  std::vector<char*> raw;
  for (const std::string& arg : args) raw.push_back(const_cast<char*>(arg.c_str()));
  raw.push_back(nullptr);
  // A core of the hypervisor would hold the guest's memory.
  const SpawnRlimit no_core{RLIMIT_CORE, {0, 0}};
  SpawnPlan plan;
  plan.program = args[0].c_str();
  plan.argv = raw.data();
  // Nothing of berthd's environment: the hypervisor is what a guest that breaks out can read.
  char path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
  char locale[] = "LC_ALL=C";
  char* const environment[] = {path, locale, nullptr};
  plan.envp = environment;
  plan.cwd = "/";
  plan.fds = placed;
  plan.new_session = true;
  plan.rlimits = std::span(&no_core, 1);
  plan.parent_death_signal = SIGKILL;
  plan.no_new_privs = true;
  auto spawned = Spawn(plan);
  if (!spawned) return std::unexpected(std::move(spawned.error()));
  return Child(spawned->pid, std::move(spawned->pidfd));
}

void Child::Signal(int signal) { syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0); }

std::optional<Child::End> Child::Reap() {
  End end;
  if (wait4(pid_, &end.wait_status, WNOHANG, &end.usage) != pid_) return std::nullopt;
  return end;
}

Child::End Child::KillAndReap() {
  Signal(SIGKILL);
  End end;
  while (wait4(pid_, &end.wait_status, 0, &end.usage) < 0 && errno == EINTR) {
  }
  return end;
}

std::string DescribeEnd(int wait_status) {
  if (!WIFSIGNALED(wait_status)) return "exit code " + std::to_string(WEXITSTATUS(wait_status));
  const int signal = WTERMSIG(wait_status);
  const char* name = sigabbrev_np(signal);
  const std::string number = "signal " + std::to_string(signal);
  return name == nullptr ? number : "SIG" + std::string(name) + " (" + number + ")";
}

}  // namespace berth::shim
