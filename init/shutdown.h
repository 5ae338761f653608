// SPDX-License-Identifier: Apache-2.0
//
// The staged shutdown as a state machine: what to do next, told from what happened. Pure; the event
// loop feeds it events and carries out its actions.
//
//   Running ──request──► Terminating ──only the agent is left──► EndingAgent
//                             │ deadline                            │ deadline
//                             └───────────────► Killing ◄───────────┘
//   each of these three ──no process is left──► Finishing; Killing ──deadline──► Finishing
#ifndef BERTH_INIT_SHUTDOWN_H_
#define BERTH_INIT_SHUTDOWN_H_

#include <chrono>
#include <optional>

#include "protocol/base/clock.h"
#include "protocol/base/control.h"

namespace berth::init {

inline constexpr std::chrono::milliseconds kDefaultGrace{10'000};
inline constexpr std::chrono::milliseconds kMaxGrace{3'600'000};
// A killed process is gone in microseconds unless the kernel holds it (a dead disk).
inline constexpr std::chrono::milliseconds kKillWait{2'000};
// For the agent to send what it still has for the host.
inline constexpr std::chrono::milliseconds kAgentWait{1'000};

class Shutdown {
 public:
  using Time = Deadline::Clock::time_point;
  enum class Stage { kRunning, kTerminating, kEndingAgent, kKilling, kFinishing };
  enum class Action {
    kNothing,
    kTerminateAll,  // SIGTERM to every process but the agent, which tells the host how they end
    kEndAgent,      // SIGTERM to the agent
    kKillAll,       // SIGKILL to every process
    kFinish,        // unmount, sync, power off
  };

  // A second request keeps the first one's mode, for stages already run may depend on it, and can
  // only shorten the grace. `grace` of zero or less: kDefaultGrace.
  Action Request(ShutdownMode mode, std::chrono::milliseconds grace, Time now);
  Action OnlyAgentLeft(Time now);
  Action NoProcessLeft();
  Action TimePassed(Time now);

  Stage stage() const { return stage_; }
  ShutdownMode mode() const { return mode_; }
  bool begun() const { return stage_ != Stage::kRunning; }
  // When TimePassed has something to do.
  std::optional<Time> deadline() const;

 private:
  Stage stage_ = Stage::kRunning;
  ShutdownMode mode_ = ShutdownMode::kPowerOff;
  Time deadline_{};
};

}  // namespace berth::init

#endif  // BERTH_INIT_SHUTDOWN_H_
