// SPDX-License-Identifier: Apache-2.0
//
// VMs and events as the API shows them. Pure functions on the daemon's thread.
#ifndef BERTH_SUPERVISOR_DAEMON_RENDER_VM_H_
#define BERTH_SUPERVISOR_DAEMON_RENDER_VM_H_

#include <nlohmann/json.hpp>

#include "supervisor/lifecycle/vm.h"

namespace berth::daemon {

// All that status tells: spec, state and why, processes, agent, boot timeline, transitions.
nlohmann::json VmJson(const lifecycle::Vm& vm);
// A line of list.
nlohmann::json VmSummaryJson(const lifecycle::Vm& vm);
// How its guest said that it ended: {mode, cause, service | by, code | signal}; null where it did
// not.
nlohmann::json GuestExitOf(const lifecycle::Vm& vm);
nlohmann::json EntryJson(const lifecycle::Entry& entry);

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_RENDER_VM_H_
