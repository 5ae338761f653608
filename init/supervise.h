// SPDX-License-Identifier: Apache-2.0
//
// What PID 1 does once the machine is up, for ever: one epoll over signals, a timer, the agent's
// control socket and what services need. Reaps everything that ends, keeps agent and services
// running, and shuts down in stages.
#ifndef BERTH_INIT_SUPERVISE_H_
#define BERTH_INIT_SUPERVISE_H_

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "init/agent.h"
#include "init/agent_life.h"
#include "init/config.h"
#include "init/guest_log.h"
#include "init/phases.h"
#include "init/power_button.h"
#include "init/service_runner.h"
#include "init/shutdown.h"
#include "protocol/base/log.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::init {

// Before the first child: a SIGCHLD that comes while the signal is not blocked is lost.
void BlockSignals();

class Supervisor {
 public:
  // Merges the host's part of the configuration into what it was made with.
  using Configure = std::function<Result<>(std::string_view)>;

  // `config` outlives the supervisor.
  // `own_log`: the pipe of PID 1's own lines, where it could be made.
  Supervisor(Agent agent, std::optional<LogPipeEnds> own_log, BootPhases phases,
             const Config& config, Configure configure);

  // Makes the descriptors, starts the agent, then the services: the host can look at a guest whose
  // services do not come up. An agent that cannot be started here never could: that is an error,
  // not a crash loop.
  Result<> Start();
  [[noreturn]] void Run();

 private:
  using Time = Deadline::Clock::time_point;

  void TakeSignals();
  void TakeRequests();
  // One batch, so that a storm of orphans does not starve the rest of the loop. Whether more may be
  // left.
  bool Reap();
  void ReportEnd(const AgentLife::End& end);
  void WarnOfAgent(std::string text);
  // The first one's cause and name stay: they are what the host is told.
  void Request(ShutdownMode mode, std::chrono::milliseconds grace, ShutdownCause cause,
               std::string_view name);
  void Do(Shutdown::Action action);
  ControlPacket Report(ControlKind kind) const;
  // While others than services end: waits for one process after another until only the agent is
  // left.
  void FollowOthers();
  void ArmTimer();
  void WatchAgent();

  Agent agent_;
  std::optional<LogPipeEnds> own_log_;
  GuestLog log_;
  BootPhases phases_;
  const Config& config_;
  AgentLife agent_life_;
  Shutdown shutdown_;
  ShutdownCause cause_ = ShutdownCause::kHost;
  std::string cause_name_;
  UniqueFd signals_;
  UniqueFd timer_;
  UniqueFd epoll_;
  std::optional<PowerButton> button_;
  ServiceRunner runner_;               // after the epoll that it is given
  UniqueFd other_;                     // pidfd of a process that the shutdown waits for
  std::optional<Time> look_again_at_;  // only zombies are left, for their parents to reap
  int watched_control_ = -1;
  bool more_to_reap_ = false;
  uint64_t health_told_ = 0;  // changes of services' health that the agent knows of
  std::optional<Time> armed_;
  LogLimiter deaths_{10, std::chrono::seconds(60)};
};

}  // namespace berth::init

#endif  // BERTH_INIT_SUPERVISE_H_
