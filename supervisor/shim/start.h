// SPDX-License-Identifier: Apache-2.0
//
// Starting a shim: berthd's side of the hand-over. Blocks for a few file writes and a spawn; any
// thread. The shim is a child of the caller until the caller ends, and outlives it.
#ifndef BERTH_SUPERVISOR_SHIM_START_H_
#define BERTH_SUPERVISOR_SHIM_START_H_

#include <string>

#include "protocol/base/result.h"
#include "protocol/base/spawn.h"
#include "supervisor/hypervisor/launch_spec.h"

namespace berth::shim {

// The descriptor of the listening shim.sock in the shim.
inline constexpr int kListenerFd = 3;

// Makes shim.sock (removing one left over, and an exit.json of an earlier run), writes launch.json,
// and spawns `program` (absolute path of berth-shim) in a session of its own, with its stderr in
// shim.log. The caller may connect a Client as soon as this returns. Error::step: "socket-path",
// "shim-socket", "launch-file", "spawn-shim".
Result<Spawned> StartShim(const std::string& program, const LaunchSpec& launch);

}  // namespace berth::shim

#endif  // BERTH_SUPERVISOR_SHIM_START_H_
