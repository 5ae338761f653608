// SPDX-License-Identifier: Apache-2.0
//
// What PID 1 does once the machine is up, for ever: one epoll over signals, a timer and the agent's
// control socket. Reaps everything that ends, restarts services, and shuts down in stages.
#ifndef BERTH_INIT_SUPERVISE_H_
#define BERTH_INIT_SUPERVISE_H_

#include <chrono>
#include <optional>

#include "init/agent.h"
#include "init/phases.h"
#include "init/services.h"
#include "init/shutdown.h"
#include "protocol/base/log.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::init {

// Before the first child: a SIGCHLD that comes while the signal is not blocked is lost.
void BlockSignals();

class Supervisor {
 public:
  Supervisor(Agent agent, BootPhases phases) : agent_(std::move(agent)), phases_(phases) {}

  // Makes the descriptors and starts the agent. An agent that cannot be started here never could:
  // that is an error, not a crash loop.
  Result<> Start();
  [[noreturn]] void Run();

 private:
  using Time = Deadline::Clock::time_point;

  void TakeSignals();
  void TakeRequests();
  // One batch, so that a storm of orphans does not starve the rest of the loop. Whether more may be
  // left.
  bool Reap();
  void ReportEnd(const Services::End& end);
  void Request(ShutdownMode mode, std::chrono::milliseconds grace, const char* who);
  void Do(Shutdown::Action action);
  // While terminating: waits for one process after another until only the agent is left.
  void FollowOthers();
  void ArmTimer();
  void WatchAgent();

  Agent agent_;
  BootPhases phases_;
  Services services_;
  Shutdown shutdown_;
  UniqueFd signals_;
  UniqueFd timer_;
  UniqueFd epoll_;
  UniqueFd other_;                     // pidfd of a process that the shutdown waits for
  std::optional<Time> look_again_at_;  // only zombies are left, for their parents to reap
  int watched_control_ = -1;
  bool more_to_reap_ = false;
  std::optional<Time> armed_;
  LogLimiter deaths_{10, std::chrono::seconds(60)};
};

}  // namespace berth::init

#endif  // BERTH_INIT_SUPERVISE_H_
