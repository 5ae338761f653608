// SPDX-License-Identifier: Apache-2.0
//
// ChildRun: a program that the agent runs for itself: an exec check, or a chore of its own
// (agent/chores.h). Its output is kept, the last bytes of it; it gets no input and runs as root.
//
// It ends with all that it started. In a cgroup, nothing gets away: what it forks while it is
// killed dies too. Without one, those that left its session do.
//
// Shared with its own coroutine. Runs on the agent's thread, and never blocks it.
#ifndef BERTH_AGENT_CHILD_RUN_H_
#define BERTH_AGENT_CHILD_RUN_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <memory>
#include <string>
#include <vector>

#include "agent/exec_child.h"
#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/base/spawn.h"

namespace berth::agent {

class ChildRun : public std::enable_shared_from_this<ChildRun> {
 public:
  struct Plan {
    std::vector<std::string> argv;
    std::string cgroup;  // a folder of cgroup2 that is there, nothing else in it; empty: none
    size_t max_output_bytes = 4096;
  };
  static Result<std::shared_ptr<ChildRun>> Start(const boost::asio::any_io_executor& executor,
                                                 const Plan& plan, const ExecDefaults& defaults);
  explicit ChildRun(const boost::asio::any_io_executor& executor)
      : pidfd_(executor), output_fd_(executor) {}
  ChildRun(const ChildRun&) = delete;
  ChildRun& operator=(const ChildRun&) = delete;
  ~ChildRun();

  // True once it has ended, its output read and its processes killed; false at the deadline.
  boost::asio::awaitable<bool> Await(Deadline deadline);
  // Kills it and all that it started. It has ended when Await says so.
  void Kill();
  void KillCgroup() const;

  const std::string& output() const { return output_; }
  // "" where it ended with 0; "exit code 3", "signal 9".
  std::string HowItEnded() const;

 private:
  static boost::asio::awaitable<void> ReadOutput(std::shared_ptr<ChildRun> self);
  // Takes what there is; false at its end.
  bool Drain();

  pid_t pid_ = -1;
  boost::asio::posix::stream_descriptor pidfd_;
  boost::asio::posix::stream_descriptor output_fd_;
  std::string cgroup_;
  std::string output_;
  size_t max_output_bytes_ = 0;
  bool reaped_ = false;
  int code_ = 0;
  int signal_ = 0;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_CHILD_RUN_H_
