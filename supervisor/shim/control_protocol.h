// SPDX-License-Identifier: Apache-2.0
//
// The protocol of shim.sock: one JSON object a line, both ways, lines of at most kMaxLineBytes.
//
//   client → shim   {"op":"status"}    answered by a status event
//                   {"op":"kill"}      SIGKILL to the hypervisor; answered by what comes of it
//   shim → client   {"event":"started","pid":N,"vsock_pid":N,"exec_monotonic_ns":N}
//                   {"event":"vsock-restarted","pid":N,"count":N}
//                   {"event":"vsock-lost","count":N,"detail":".."}   it is not restarted any more
//                   {"event":"status", ...}
//                   {"event":"failed","step":"..","errno":N,"detail":"..","hint":".."}
//                   {"event":"exited", ...the exit record...}
//                   {"event":"error","detail":".."}                  the request was not understood
//
// A client that connects is told at once what has happened so far (started, vsock-lost), so a
// berthd that comes later learns what an earlier one knew. After failed or exited, which come once
// exit.json is on disk, the shim closes. A client that reads too slowly is dropped and may connect
// anew. Pure functions on values; any thread.
#ifndef BERTH_SUPERVISOR_SHIM_CONTROL_PROTOCOL_H_
#define BERTH_SUPERVISOR_SHIM_CONTROL_PROTOCOL_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "protocol/base/result.h"
#include "supervisor/shim/exit_record.h"

namespace berth::shim {

inline constexpr size_t kMaxRequestBytes = 4 * 1024;  // a line from a client
inline constexpr size_t kMaxEventBytes = 64 * 1024;   // a line from a shim

enum class Op { kStatus, kKill };

struct Started {
  int pid = 0;        // of the hypervisor
  int vsock_pid = 0;  // of the vsock device; 0: the hypervisor has its own
  int64_t exec_monotonic_ns = 0;
  friend bool operator==(const Started&, const Started&) = default;
};

struct VsockRestarted {
  int pid = 0;
  uint32_t count = 0;  // restarts so far
  friend bool operator==(const VsockRestarted&, const VsockRestarted&) = default;
};

// The vsock device died too often or could not be started again. The VM runs on without exec.
struct VsockLost {
  uint32_t count = 0;
  std::string detail;
  friend bool operator==(const VsockLost&, const VsockLost&) = default;
};

enum class Phase { kLaunching, kRunning, kEnding };
enum class VsockState { kNone, kUp, kRestarting, kLost };

struct Status {
  Phase phase = Phase::kLaunching;
  int pid = 0;
  int vsock_pid = 0;
  bool paused = false;
  VsockState vsock = VsockState::kNone;
  uint32_t vsock_restarts = 0;
  uint64_t console_bytes = 0;       // drained since the start
  uint64_t console_lost_bytes = 0;  // of those, not written: the disk was full
  uint64_t log_lost_bytes = 0;      // the same of hypervisor.log and vsock.log
  uint64_t qmp_dropped = 0;         // monitor lines not understood or too long
  uint64_t clients_dropped = 0;
  friend bool operator==(const Status&, const Status&) = default;
};

// The request was not understood. The connection stays.
struct RequestRefused {
  std::string detail;
  friend bool operator==(const RequestRefused&, const RequestRefused&) = default;
};

using Event =
    std::variant<Started, VsockRestarted, VsockLost, Status, RequestRefused, Failure, ExitRecord>;

std::string_view Name(Phase phase);
std::string_view Name(VsockState state);

// One line, with its newline.
std::string Encode(Op op);
std::string Encode(const Event& event);

// A line without its newline, from a peer that may send anything. Step "control-protocol".
Result<Op> ParseRequest(std::string_view line);
Result<Event> ParseEvent(std::string_view line);

}  // namespace berth::shim

#endif  // BERTH_SUPERVISOR_SHIM_CONTROL_PROTOCOL_H_
