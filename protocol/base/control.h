// SPDX-License-Identifier: Apache-2.0
//
// The control socket between berth-init (PID 1) and berth-agent: a SOCK_SEQPACKET pair that PID 1
// makes and keeps.
//
//   init → agent   kBootPhase × n, kBootPhasesEnd   right after each start of the agent
//   init → agent   kLogRing, kLogSyslog             behind them: the log's memory, and the socket
//                                                   /dev/log, where PID 1 has them
//   init → agent   kLogSource × n                   a source of log lines that PID 1 keeps: those
//                                                   there are, and each that comes later
//   init → agent   kShuttingDown                    once, when the staged shutdown begins
//   init → agent   kGoingDown                       once, when only the agent is left: the end
//   init → agent   kHealthChanged × n               the health of a service is another:
//   ServiceVerb's
//                                                   kList says which
//
//   agent → init   kShutdown                        the host asked for it
//
// One packet is one ControlPacket, in host byte order: both ends come from one build and run on one
// machine. A packet of another size or an unknown kind is dropped by the receiver. Neither end
// blocks on the other: a full socket loses the packet, and the sender logs that. PID 1's has room
// for all that it sends in a life of the agent, and for thousands of kHealthChanged left unread.
#ifndef BERTH_PROTOCOL_BASE_CONTROL_H_
#define BERTH_PROTOCOL_BASE_CONTROL_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace berth {

// The vsock port that PID 1 listens on for the agent. Below 1024, so that only a privileged guest
// process could take it, and PID 1 already has.
inline constexpr uint32_t kAgentVsockPort = 1023;

// The descriptors berth-agent is started with.
inline constexpr int kAgentListenerFd = 3;
inline constexpr int kAgentControlFd = 4;

// Where cgroup2 is mounted, and the cgroup below it in which the agent makes one for each exec
// session. PID 1 kills all that is in it when an agent has ended: nobody could tell the host how
// such a session ended.
inline constexpr const char* kCgroupRoot = "/sys/fs/cgroup";
inline constexpr const char* kSessionsCgroup = "berth.sessions";

enum class ControlKind : uint32_t {
  kBootPhase = 1,
  kBootPhasesEnd = 2,
  kShuttingDown = 3,
  kShutdown = 4,
  kGoingDown = 5,
  kHealthChanged = 9,
  // With descriptors (SCM_RIGHTS), of which PID 1 keeps copies:
  kLogRing = 6,    // the ring (log_ring.h)
  kLogSyslog = 7,  // /dev/log
  kLogSource = 8,  // a pipe's read end and its spool; of kLogSourceAgent its write end besides
};

inline constexpr size_t kMaxControlFds = 3;

// ControlPacket.log_flags.
struct LogSourceFlag {
  static constexpr uint16_t kStderr = 1;
  static constexpr uint16_t kBlock = 2;  // on_full = "block"
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
  uint16_t log_source = 0;    // kLogSource: its number
  uint16_t log_flags = 0;     // kLogSource: LogSourceFlag
  char name[64] = {};  // null-terminated. kBootPhase, kLogSource: its name; kGoingDown: the main
                       // service, the service that crashed, or the signal
};
static_assert(std::is_trivially_copyable_v<ControlPacket> && sizeof(ControlPacket) == 112);

}  // namespace berth

#endif  // BERTH_PROTOCOL_BASE_CONTROL_H_
