// SPDX-License-Identifier: Apache-2.0
//
// Every bound of the protocol, with its unit in its name. A bound is checked before anything is
// allocated for what it bounds. docs/protocol.md repeats them for authors of other clients;
// protocol/wire/limits_test.cc keeps the two equal.
#ifndef BERTH_PROTOCOL_WIRE_LIMITS_H_
#define BERTH_PROTOCOL_WIRE_LIMITS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "protocol/base/agent_settings.h"
#include "protocol/base/control.h"
#include "protocol/base/service_control.h"

namespace berth::wire {

using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""h;
using std::chrono_literals::operator""min;

// Guest port on which the agent listens. PID 1 listens on it for the agent, and knows nothing of
// the wire: the number is base's.
inline constexpr uint32_t kAgentPort = kAgentVsockPort;
// Host port that the guest dials once per agent start, to say Ready.
inline constexpr uint32_t kReadyPort = 1022;

inline constexpr size_t kFrameHeaderBytes = 8;
inline constexpr size_t kMaxMessageBytes =
    1024 * 1024;  // payload of a message frame: one serialized Envelope
inline constexpr size_t kMaxReadyBytes = 64 * 1024;  // the same, on the host's Ready port
inline constexpr size_t kMaxDataBytes = 256 * 1024;  // payload of a data frame
inline constexpr int kMaxMessageDepth = 16;          // nesting of messages in an Envelope

// Bytes of stdin that the host may have sent and the guest not yet granted anew.
inline constexpr size_t kStdinWindowBytes = 256 * 1024;

inline constexpr int kMaxArgs = 4096;               // elements of ExecStart.argv
inline constexpr int kMaxEnv = 4096;                // elements of ExecStart.env
inline constexpr int kMaxGroups = 64;               // elements of ExecStart.groups
inline constexpr int kMaxBootPhases = 64;           // elements of Ready.phases
inline constexpr int kMaxRlimits = 16;              // elements of ExecStart.rlimits
inline constexpr int kMaxSignal = 64;               // ExecSignal.signal is 1 to this
inline constexpr uint32_t kMaxWindowCells = 65535;  // rows, and columns, of a terminal
inline constexpr size_t kMaxPingBytes = 4096;       // Ping.payload
inline constexpr size_t kMaxNameBytes = 256;        // user, group and phase names, terminal types
inline constexpr size_t kMaxPathBytes = 4095;       // ExecStart.cwd: PATH_MAX less its null
inline constexpr size_t kMaxFailureBytes =
    4096;  // each text of a Failure, longer ones are cut by their sender

// Of a session that was started with ExecStart.detach: what it put out last, kept for who attaches.
inline constexpr size_t kMaxScrollbackBytes = 256 * 1024;
inline constexpr int kMaxDetachable = 32;  // sessions of that kind at once, ended ones included
inline constexpr int kMaxSessions = 256;   // SessionsReply.sessions
inline constexpr size_t kMaxCommandBytes = 256;  // Session.command
inline constexpr size_t kSessionIdBytes = 8;     // hex digits of a session's id

inline constexpr int kMaxServices = 256;  // ServiceReply.services
// Names of services and signals, without a null.
inline constexpr size_t kMaxServiceNameBytes = kServiceNameBytes - 1;
inline constexpr size_t kMaxServiceTextBytes = 256;  // ServiceReply.message, Service.detail
inline constexpr size_t kMaxMistakesBytes = 4096;    // ConfigureRefused.mistakes
inline constexpr size_t kMaxConfigBytes = kMaxConfigureBytes;  // Configure.toml
// Linux keeps its errno values below (MAX_ERRNO of include/linux/err.h).
inline constexpr int kMaxErrno = 4095;
constexpr bool IsErrno(int errnum) { return errnum >= 0 && errnum <= kMaxErrno; }
// What a clock that counts nanoseconds in 63 bits can show.
constexpr bool FitsClock(uint64_t us) { return us <= INT64_MAX / 1000; }
// Connections that follow at once: one more, and the oldest is closed.
inline constexpr int kMaxFollowers = 4;

// Health, of init.toml and of a VM's spec together.
inline constexpr int kMaxHealthChecks = static_cast<int>(berth::kMaxHealthChecks);
inline constexpr int kMaxHealthRows = kMaxHealthChecks + kMaxServices;  // HealthReply.checks
// Names of checks, "service:" in front where they are PID 1's.
inline constexpr size_t kMaxHealthNameBytes = berth::kMaxHealthNameBytes + 16;
inline constexpr size_t kMaxHealthTextBytes = 256;       // HealthReply.Check.result, services_why
inline constexpr size_t kMaxHealthOutputBytes = 4096;    // HealthReply.Check.output
inline constexpr size_t kMaxHttpReplyBytes = 64 * 1024;  // of an HTTP check, head and body
inline constexpr auto kHealthBellPause = 1s;             // between two HealthChanged, at least

// Time and entropy.
inline constexpr int kClockSamples = 5;
inline constexpr auto kClockStepThreshold = 100ms;  // less is not worth a step
inline constexpr size_t kMinReseedBytes = 32;       // Reseed.seed
inline constexpr size_t kMaxReseedBytes = 256;

// File systems.
inline constexpr auto kDefaultFreezeTimeout = 10s;  // where Freeze.timeout_ms is 0
inline constexpr auto kMaxFreezeTimeout = 10min;    // Freeze.timeout_ms
inline constexpr int kMaxFreezeMounts = 256;        // FreezeReply.mounts

inline constexpr auto kHandshakeTimeout = 10s;  // from the connection to the peer's whole Hello
inline constexpr auto kFrameTimeout = 30s;      // from the first byte of a frame to its last
inline constexpr auto kIdleTimeout =
    60s;  // the guest closes a connection without calls after so long
inline constexpr auto kDefaultKillGrace = 5s;        // where ExecStart.kill_grace_ms is 0
inline constexpr auto kMaxTimeout = 24h * 365 * 10;  // ExecStart.timeout_ms and kill_grace_ms
inline constexpr auto kCallTimeout = 10s;  // for the answer to a short call (Ping, Shutdown)
inline constexpr auto kKeepEnded = 1h;  // how long an ended session with detach can be attached to
inline constexpr auto kDefaultServiceTimeout = 90s;  // where ServiceCall.timeout_ms is 0
inline constexpr auto kMaxServiceTimeout = 1h;       // ServiceCall.timeout_ms
inline constexpr auto kEventAckTimeout =
    900ms;  // for the last event to be heard, before the agent ends

// Copies. What a receiver takes at most; the last two are defaults of `berth cp`'s.
inline constexpr size_t kMaxCopyNameBytes = 255;      // CopyEntry.name, CopyStart.name: NAME_MAX
inline constexpr size_t kMaxCopyTargetBytes = 4095;   // CopyEntry.target: PATH_MAX less its null
inline constexpr int kMaxCopyDepth = 256;             // directories entered and not left
inline constexpr size_t kMaxCopyLinks = 65536;        // files with a CopyEntry.link
inline constexpr size_t kMaxCopyLinkBytes = 1 << 26;  // of the paths of those, together
inline constexpr uint64_t kMaxCopyNotes = 100;        // CopyNotes in one copy
inline constexpr int kMaxCopies = 8;                  // connections that copy, in one guest
inline constexpr uint64_t kMaxCopyEntries = 10'000'000;
inline constexpr uint64_t kMaxCopyBytes = uint64_t{1} << 40;  // content and holes together
inline constexpr auto kCopyGuestTimeout = 60s;  // the host waits so long for a silent guest
inline constexpr auto kCopyHostTimeout = 600s;  // the guest for a silent host
// --- Generation 3: forward ---
inline constexpr int kMaxForwards = 1024;           // of one guest at once
inline constexpr size_t kMaxForwardHostBytes = 64;  // Forward.tcp.host
inline constexpr size_t kMaxUnixPathBytes = 107;    // Forward.unix_path: sun_path less its null
inline constexpr size_t kMaxForwardMessageBytes = 16 * 1024;  // a message beside forwarded data
inline constexpr auto kForwardTimeout = 10s;                  // for the connection in the guest

// --- Generation 3: statistics ---
inline constexpr int kMaxStatsDisks = 64;          // StatsReply.disks
inline constexpr int kMaxStatsFileSystems = 64;    // StatsReply.file_systems
inline constexpr int kMaxStatsInterfaces = 64;     // StatsReply.interfaces
inline constexpr int kMaxStatsGroups = 256;        // StatsReply.services, and StatsReply.sessions
inline constexpr size_t kMaxStatsTextBytes = 256;  // each text of a StatsReply or OomKill
inline constexpr int kMaxUnheardOomKills = 16;     // that an agent keeps; older ones are counted

}  // namespace berth::wire

#endif  // BERTH_PROTOCOL_WIRE_LIMITS_H_
