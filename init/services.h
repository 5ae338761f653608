// SPDX-License-Identifier: Apache-2.0
//
// The table of programs that PID 1 keeps running, and when each starts again. It owns which process
// is whose; the event loop (supervise.h) reaps and tells it. The agent is its first entry.
#ifndef BERTH_INIT_SERVICES_H_
#define BERTH_INIT_SERVICES_H_

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "init/backoff.h"
#include "protocol/base/clock.h"
#include "protocol/base/result.h"

namespace berth::init {

class Services {
 public:
  using Time = Deadline::Clock::time_point;
  using Start = std::function<Result<pid_t>()>;

  // A service that cannot even be started counts as one that died at once.
  void Add(std::string name, BackoffPolicy policy, Start start);

  // Starts those whose time has come. The last error, where one did not start.
  Result<> StartDue(Time now);

  struct End {
    std::string name;
    std::string how;  // "exit code 1", "SIGKILL"
    std::chrono::milliseconds restart_in;
    bool crash_loop;  // its budget of short lives is spent
    bool was_stable;  // it has lived long at least once
  };
  // A process was reaped. Nothing where it was none of ours: an orphan.
  std::optional<End> Reaped(pid_t pid, int wait_status, Time now);

  // The shutdown has begun: nothing starts again.
  void StopRestarting();

  std::optional<Time> next_start() const;
  // -1 where it does not run.
  pid_t PidOf(std::string_view name) const;

 private:
  struct Waiting {
    Time start_at;
  };
  struct Running {
    pid_t pid;
    Time since;
  };
  struct Ended {};
  struct Service {
    std::string name;
    Start start;
    Backoff backoff;
    std::variant<Waiting, Running, Ended> state;
  };

  std::vector<Service> services_;
  bool restarting_ = true;
};

// "exit code 3", "SIGSEGV (core dumped)".
std::string DescribeWaitStatus(int wait_status);

}  // namespace berth::init

#endif  // BERTH_INIT_SERVICES_H_
