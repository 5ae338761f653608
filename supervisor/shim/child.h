// SPDX-License-Identifier: Apache-2.0
//
// Child: a process of the VM, from its spawn to its being reaped. Owns the pidfd; one thread, which
// must be the one that lives as long as the shim: the children die with it.
#ifndef BERTH_SUPERVISOR_SHIM_CHILD_H_
#define BERTH_SUPERVISOR_SHIM_CHILD_H_

#include <sys/resource.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::shim {

struct ChildFd {
  int fd;                        // of the shim's
  std::string_view placeholder;  // in the arguments; empty: none
};

// A pipe of which the child gets one end and the shim keeps the other, which does not block.
struct ChildPipe {
  UniqueFd ours;
  UniqueFd theirs;

  static Result<ChildPipe> FromChild();
  static Result<ChildPipe> ToChild();
};

class Child {
 public:
  // The child's 0, 1, 2 and on are `fds` in their order, and it holds nothing else. Each
  // placeholder in `argv` is replaced by the number its descriptor has in the child. Error::step as
  // Spawn's.
  static Result<Child> Start(const std::vector<std::string>& argv, std::span<const ChildFd> fds);

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }

  // SIGKILL or another; nothing where it has ended.
  void Signal(int signal);

  struct End {
    int wait_status = 0;
    rusage usage{};
  };
  // Without waiting; nullopt: it runs on. Once only.
  std::optional<End> Reap();
  // Kills it and waits.
  End KillAndReap();

 private:
  Child(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

  pid_t pid_;
  UniqueFd pidfd_;
};

// "exit code 1" or "SIGKILL (signal 9)"
std::string DescribeEnd(int wait_status);

// The arguments with each placeholder replaced: pairs of placeholder and text.
std::vector<std::string> Substitute(
    const std::vector<std::string>& argv,
    std::span<const std::pair<std::string_view, std::string>> replacements);

}  // namespace berth::shim

#endif  // BERTH_SUPERVISOR_SHIM_CHILD_H_
