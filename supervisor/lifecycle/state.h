// SPDX-License-Identifier: Apache-2.0
//
// The lifecycle of a VM as one table: Pending, eight states, and every edge between them. The table
// is what the supervisor runs on, what docs/lifecycle.md is generated from, and what its tests walk
// pair by pair. Values only; any thread.
#ifndef BERTH_SUPERVISOR_LIFECYCLE_STATE_H_
#define BERTH_SUPERVISOR_LIFECYCLE_STATE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "protocol/base/result.h"

namespace berth::lifecycle {

enum class State : uint8_t {
  kPending,  // the zero: a create was accepted, and owns nothing yet
  kProvisioning,
  kConfigured,
  kStarting,
  kRunning,
  kStopping,
  kStopped,
  kStartFailed,
  kFailed,
};
inline constexpr size_t kStates = 9;

enum class Event : uint8_t {
  kProvision,
  kProvisioned,
  kProvisionFailed,
  kLaunch,
  kReady,
  kLaunchFailed,
  kRetry,
  kStop,
  kPoweredOff,
  kEnded,
  kCrashed,
  kTeardownFailed,
};
inline constexpr size_t kEvents = 12;

struct StateInfo {
  State state;
  std::string_view name;  // as the API and people spell it
  bool owns_processes;    // a hypervisor may be there: the host must look after it
  bool may_remove;        // implies !owns_processes
  std::string_view meaning;
};

inline constexpr std::array<StateInfo, kStates> kStateInfo{{
    {State::kPending, "Pending", false, true, "accepted and recorded; owns nothing"},
    {State::kProvisioning, "Provisioning", false, false,
     "its directory is made, its image and the disk space are checked"},
    {State::kConfigured, "Configured", false, true, "has all it needs to start"},
    {State::kStarting, "Starting", true, false,
     "the hypervisor is launched; the guest has not said Ready yet"},
    {State::kRunning, "Running", true, false, "the guest's agent has said Ready"},
    {State::kStopping, "Stopping", true, false,
     "on its way down; the hypervisor may still be there"},
    {State::kStopped, "Stopped", false, true, "ended as it was asked to, by the host or by itself"},
    {State::kStartFailed, "StartFailed", false, true,
     "the start failed; nothing of it is left but its logs"},
    {State::kFailed, "Failed", false, true, "ended in a way that nobody asked for"},
}};

struct EventInfo {
  Event event;
  std::string_view name;
  std::string_view meaning;
};

inline constexpr std::array<EventInfo, kEvents> kEventInfo{{
    {Event::kProvision, "provision", "a create or a start was accepted"},
    {Event::kProvisioned, "provisioned", "directory, image and disk space are there"},
    {Event::kProvisionFailed, "provision-failed", "one of them is not"},
    {Event::kLaunch, "launch", "a start goes on to launch the hypervisor"},
    {Event::kReady, "ready", "the guest's agent said Ready and speaks our protocol"},
    {Event::kLaunchFailed, "launch-failed", "the start failed, and was taken down"},
    {Event::kRetry, "retry", "the boot hung: one more attempt"},
    {Event::kStop, "stop", "a stop or a kill was asked for"},
    {Event::kPoweredOff, "powered-off", "the guest switched itself off"},
    {Event::kEnded, "ended", "the hypervisor has ended as it was asked to"},
    {Event::kCrashed, "crashed", "guest or hypervisor ended unasked"},
    {Event::kTeardownFailed, "teardown-failed", "something of it would not go away"},
}};

struct Edge {
  State from;
  Event event;
  State to;
};

inline constexpr std::array kEdges{
    Edge{State::kPending, Event::kProvision, State::kProvisioning},
    Edge{State::kProvisioning, Event::kProvisioned, State::kConfigured},
    Edge{State::kProvisioning, Event::kProvisionFailed, State::kFailed},
    Edge{State::kConfigured, Event::kLaunch, State::kStarting},
    Edge{State::kStarting, Event::kReady, State::kRunning},
    Edge{State::kStarting, Event::kStop, State::kStopping},
    Edge{State::kStarting, Event::kLaunchFailed, State::kStartFailed},
    Edge{State::kRunning, Event::kStop, State::kStopping},
    Edge{State::kRunning, Event::kPoweredOff, State::kStopping},
    Edge{State::kRunning, Event::kCrashed, State::kFailed},
    Edge{State::kStopping, Event::kEnded, State::kStopped},
    Edge{State::kStopping, Event::kCrashed, State::kFailed},
    Edge{State::kStopping, Event::kTeardownFailed, State::kFailed},
    Edge{State::kStartFailed, Event::kRetry, State::kStarting},
    Edge{State::kStartFailed, Event::kTeardownFailed, State::kFailed},
    // Started again, a VM is provisioned again: what was checked at create may be gone since.
    Edge{State::kStopped, Event::kProvision, State::kProvisioning},
    Edge{State::kStartFailed, Event::kProvision, State::kProvisioning},
    Edge{State::kFailed, Event::kProvision, State::kProvisioning},
};

// Every pair of state and event has a cell; most are empty, and an empty one is an error.
using Table = std::array<std::array<std::optional<State>, kEvents>, kStates>;

consteval Table MakeTable() {
  Table table{};
  for (const Edge& edge : kEdges) {
    table[static_cast<size_t>(edge.from)][static_cast<size_t>(edge.event)] = edge.to;
  }
  return table;
}
inline constexpr Table kTable = MakeTable();

constexpr std::optional<State> Next(State from, Event event) {
  return kTable[static_cast<size_t>(from)][static_cast<size_t>(event)];
}

constexpr const StateInfo& Info(State state) { return kStateInfo[static_cast<size_t>(state)]; }
constexpr const EventInfo& Info(Event event) { return kEventInfo[static_cast<size_t>(event)]; }
constexpr std::string_view Name(State state) { return Info(state).name; }
constexpr std::string_view Name(Event event) { return Info(event).name; }

std::optional<State> StateNamed(std::string_view name);

// The state that `event` leads to, or EPROTO with both named.
Result<State> Advance(State from, Event event);

// --- What the table promises, checked where it stands ---

consteval bool InfoStandsInOrder() {
  for (size_t i = 0; i < kStates; ++i) {
    if (kStateInfo[i].state != static_cast<State>(i) || kStateInfo[i].name.empty()) return false;
    if (kStateInfo[i].may_remove && kStateInfo[i].owns_processes) return false;
  }
  for (size_t i = 0; i < kEvents; ++i) {
    if (kEventInfo[i].event != static_cast<Event>(i) || kEventInfo[i].name.empty()) return false;
  }
  return true;
}
static_assert(InfoStandsInOrder(), "one row per state and event, in the order of the enums");

consteval bool NoPairStandsTwice() {
  for (size_t i = 0; i < kEdges.size(); ++i) {
    for (size_t j = i + 1; j < kEdges.size(); ++j) {
      if (kEdges[i].from == kEdges[j].from && kEdges[i].event == kEdges[j].event) return false;
    }
  }
  return true;
}
static_assert(NoPairStandsTwice(), "a pair of state and event leads to one state");

consteval bool EveryStateIsReachedAndLeft() {
  for (const StateInfo& info : kStateInfo) {
    bool reached = info.state == State::kPending;
    bool left = false;
    for (const Edge& edge : kEdges) {
      reached |= edge.to == info.state;
      left |= edge.from == info.state;
    }
    if (!reached || !left) return false;
  }
  return true;
}
static_assert(EveryStateIsReachedAndLeft(), "no state is an island or a trap");

consteval bool EveryEventIsUsed() {
  for (const EventInfo& info : kEventInfo) {
    bool used = false;
    for (const Edge& edge : kEdges) used |= edge.event == info.event;
    if (!used) return false;
  }
  return true;
}
static_assert(EveryEventIsUsed());

// A VM comes to own processes by launching them, not by any other road.
consteval bool ProcessesComeFromLaunches() {
  for (const Edge& edge : kEdges) {
    const bool gains = Info(edge.to).owns_processes && !Info(edge.from).owns_processes;
    if (gains && edge.event != Event::kLaunch && edge.event != Event::kRetry) return false;
  }
  return true;
}
static_assert(ProcessesComeFromLaunches());

}  // namespace berth::lifecycle

#endif  // BERTH_SUPERVISOR_LIFECYCLE_STATE_H_
