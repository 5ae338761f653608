// SPDX-License-Identifier: Apache-2.0
//
// Which process the agent is, and when it starts again. The event loop (supervise.h) reaps and
// tells it.
#ifndef BERTH_INIT_AGENT_LIFE_H_
#define BERTH_INIT_AGENT_LIFE_H_

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <variant>

#include "init/backoff.h"
#include "protocol/base/clock.h"
#include "protocol/base/result.h"

namespace berth::init {

class AgentLife {
 public:
  using Time = Deadline::Clock::time_point;
  using Start = std::function<Result<pid_t>()>;

  AgentLife(BackoffPolicy policy, Start start) : start_(std::move(start)), backoff_(policy) {}

  // Starts it where its time has come. One that cannot even be started counts as one that died at
  // once, and that is the error.
  Result<> StartIfDue(Time now);

  struct End {
    std::string how;  // "exit code 1", "SIGKILL"
    std::chrono::milliseconds restart_in;
    bool crash_loop;  // its budget of short lives is spent
    bool was_stable;  // it has lived long at least once
  };
  // A process was reaped. Nothing where that was another.
  std::optional<End> Reaped(pid_t pid, int wait_status, Time now);

  // The shutdown has begun: it does not start again.
  void StopRestarting();

  std::optional<Time> next_start() const;
  // -1 where it does not run.
  pid_t pid() const;

 private:
  struct Waiting {
    Time start_at;
  };
  struct Running {
    pid_t pid;
    Time since;
  };
  struct Ended {};

  Start start_;
  Backoff backoff_;
  std::variant<Waiting, Running, Ended> state_;
  bool restarting_ = true;
};

}  // namespace berth::init

#endif  // BERTH_INIT_AGENT_LIFE_H_
