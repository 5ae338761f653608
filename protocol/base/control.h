// SPDX-License-Identifier: Apache-2.0
//
// The control socket between berth-init (PID 1) and berth-agent: a SOCK_SEQPACKET pair that PID 1
// makes and keeps.
//
//   init → agent   kBootPhase × n, kBootPhasesEnd   right after each start of the agent
//   init → agent   kShuttingDown                    once, when the staged shutdown begins
//   init → agent   kGoingDown                       once, when only the agent is left: the end
//   init → agent   kHealthChanged                   the health of a service is another; which,
//   kList says
//
//   agent → init   kShutdown                        the host asked for it
//
// One packet is one ControlPacket, in host byte order: both ends come from one build and run on one
// machine. A packet of another size or an unknown kind is dropped by the receiver. Neither end
// blocks on the other: a full socket loses the packet, and the sender logs that.
#ifndef BERTH_PROTOCOL_BASE_CONTROL_H_
#define BERTH_PROTOCOL_BASE_CONTROL_H_

#include <cstdint>
#include <type_traits>

namespace berth {

// The vsock port that PID 1 listens on for the agent. Below 1024, so that only a privileged guest
// process could take it, and PID 1 already has.
inline constexpr uint32_t kAgentVsockPort = 1023;

// The descriptors berth-agent is started with.
inline constexpr int kAgentListenerFd = 3;
inline constexpr int kAgentControlFd = 4;

enum class ControlKind : uint32_t {
  kBootPhase = 1,
  kBootPhasesEnd = 2,
  kShuttingDown = 3,
  kShutdown = 4,
  kGoingDown = 5,
  kHealthChanged = 6,
};

enum class ShutdownMode : uint32_t { kPowerOff = 0, kReboot = 1, kHalt = 2 };

// Who or what ended the machine.
enum class ShutdownCause : uint32_t { kHost = 1, kMain = 2, kSignal = 3, kCrashLoop = 4 };

struct ControlPacket {
  ControlKind kind{};
  ShutdownMode mode{};    // kShutdown, kShuttingDown, kGoingDown
  ShutdownCause cause{};  // kShuttingDown, kGoingDown
  // kGoingDown: how the main service ended; -1 and 0 where there is none.
  int32_t main_exit_code = -1;
  int32_t main_exit_signal = 0;
  int64_t monotonic_ns =
      0;  // kBootPhase: when the phase began, CLOCK_MONOTONIC (since the guest's kernel started)
  int64_t grace_ms =
      0;  // kShutdown: how long services get between SIGTERM and SIGKILL; 0: PID 1's own
  uint32_t agent_starts = 0;  // kBootPhasesEnd: 1 for the agent's first start since boot
  char name[68] = {};  // null-terminated. kBootPhase: its name; kGoingDown: the main service, the
                       // service that crashed, or the signal
};
static_assert(std::is_trivially_copyable_v<ControlPacket> && sizeof(ControlPacket) == 112);

}  // namespace berth

#endif  // BERTH_PROTOCOL_BASE_CONTROL_H_
