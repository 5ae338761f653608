// SPDX-License-Identifier: Apache-2.0
//
// The staged shutdown as a state machine: what to do next, told from what happened. Pure; the event
// loop feeds it events and carries out its actions.
//
//   Running ─request─► StoppingServices ─services down─► Terminating ─only the agent left─┐
//                             │ grace                        │ grace                      ▼
//                             └───────► KillingOthers ◄──────┘                       EndingAgent
//                                             └── only the agent left, or kill_wait ──►   │
//                                             agent_wait
//                                                                                         ▼
//   each of these ──no process is left──► Finishing ◄──────────── kill_wait ────────── Killing
#ifndef BERTH_INIT_SHUTDOWN_H_
#define BERTH_INIT_SHUTDOWN_H_

#include <chrono>
#include <optional>

#include "init/config.h"
#include "protocol/base/clock.h"
#include "protocol/base/control.h"

namespace berth::init {

inline constexpr std::chrono::milliseconds kMaxGrace{3'600'000};

class Shutdown {
 public:
  using Time = Deadline::Clock::time_point;
  enum class Stage {
    kRunning,
    kStoppingServices,
    kTerminating,
    kKillingOthers,
    kEndingAgent,
    kKilling,
    kFinishing
  };
  enum class Action {
    kNothing,
    kStopServices,   // each in its turn, all by the deadline; again where that came forward
    kTerminateAll,   // SIGTERM to every process but the agent, which tells the host how they end
    kKillAllOthers,  // SIGKILL to every process but the agent
    kEndAgent,       // the exit report and SIGTERM to the agent
    kKillAll,        // SIGKILL to every process
    kFinish,         // unmount, sync, power off
  };

  explicit Shutdown(const ShutdownConfig& config = {}) : config_(config) {}

  // A second request keeps the first one's mode, for stages already run may depend on it, and can
  // only shorten the grace. `grace` of zero or less: the configuration's.
  Action Request(ShutdownMode mode, std::chrono::milliseconds grace, Time now);
  Action ServicesDown();
  Action OnlyAgentLeft(Time now);
  Action NoProcessLeft();
  Action TimePassed(Time now);

  Stage stage() const { return stage_; }
  ShutdownMode mode() const { return mode_; }
  bool begun() const { return stage_ != Stage::kRunning; }
  // When TimePassed has something to do.
  std::optional<Time> deadline() const;

 private:
  ShutdownConfig config_;
  Stage stage_ = Stage::kRunning;
  ShutdownMode mode_ = ShutdownMode::kPowerOff;
  Time deadline_{};
};

}  // namespace berth::init

#endif  // BERTH_INIT_SHUTDOWN_H_
