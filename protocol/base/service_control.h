// SPDX-License-Identifier: Apache-2.0
//
// The socket on which PID 1 takes orders about its services: /run/berth/init.sock, SOCK_SEQPACKET,
// mode 0600. `berth-init status` and the agent speak it alike.
//
//   client → init   one packet: a ServiceRequest, and `text_bytes` of text behind it
//
//   init → client   for kList and kStatus a ServiceRow for each service
//
//   init → client   one ServiceAnswer; then PID 1 closes
//
// One connection is one request. PID 1 answers start, stop and restart when the service has got
// there or the request's deadline has passed. Packets are in host byte order: both ends come from
// one build and run on one machine. PID 1 never waits for a client: one whose socket is full is
// closed, and one beyond kMaxServiceClients is refused with EAGAIN.
#ifndef BERTH_PROTOCOL_BASE_SERVICE_CONTROL_H_
#define BERTH_PROTOCOL_BASE_SERVICE_CONTROL_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace berth {

inline constexpr const char* kServiceSocketPath = "/run/berth/init.sock";
inline constexpr int kMaxServiceClients = 16;
inline constexpr size_t kMaxConfigureBytes = 64 * 1024;
inline constexpr int64_t kLongestServiceOrderMs = 3'600'000;
inline constexpr size_t kServiceNameBytes = 64;  // with the null

enum class ServiceVerb : uint32_t {
  kList = 1,    // all services
  kStatus = 2,  // one
  kStart = 3,   // with what it requires; done when ready
  kStop = 4,    // done when ended; it stays down
  kRestart = 5,
  kReload = 6,     // its reload signal; done when sent
  kConfigure = 7,  // the host's part of the configuration, TOML, as text; once per boot
};

enum class ServiceState : uint32_t {
  kInactive = 0,  // not asked to run: disabled, stopped, or not yet its turn
  kWaiting = 1,   // for what it comes after, for Configure, or for a first connection
  kStarting = 2,  // runs, and is not ready
  kReady = 3,
  kStopping = 4,
  kBackoff = 5,  // ended; starts again at restart_ns
  kDone = 6,     // ended with 0, and is not to start again
  kFailed = 7,   // ended otherwise and is not to start again, or something it requires has failed
};

enum class ServiceHealth : uint32_t { kUnknown = 0, kHealthy = 1, kUnhealthy = 2 };

struct ServiceRequest {
  ServiceVerb verb{};
  uint32_t text_bytes = 0;
  int64_t timeout_ms = 0;  // 0: the service's own deadlines
  char name[kServiceNameBytes] = {};
};

struct ServiceRow {
  char name[kServiceNameBytes] = {};
  ServiceState state{};
  ServiceHealth health{};
  int32_t pid = 0;          // 0: does not run
  uint32_t restarts = 0;    // since boot, those that were asked for left out
  int32_t exit_code = -1;   // of its last end; -1: none, or by a signal
  int32_t exit_signal = 0;  // 0: none
  uint32_t main = 0;
  uint32_t oneshot = 0;
  // CLOCK_MONOTONIC, ns; 0: never.
  int64_t wanted_ns = 0;  // when all it waits for was there: its own time begins here
  int64_t start_ns = 0;   // of the process that runs, or ran last
  int64_t ready_ns = 0;   // of that start
  int64_t restart_ns = 0;
  int64_t first_ready_ns = 0;  // of the boot
  char waits_for[kServiceNameBytes] =
      {};                 // what it came after last: its link in the critical chain
  char detail[192] = {};  // for people: why it waits, failed, is unhealthy
};

struct ServiceAnswer {
  int32_t errnum = 0;  // 0: done
  char message[252] = {};
};

static_assert(std::is_trivially_copyable_v<ServiceRequest> && sizeof(ServiceRequest) == 80);
static_assert(std::is_trivially_copyable_v<ServiceRow> &&
              std::is_trivially_copyable_v<ServiceAnswer>);

}  // namespace berth

#endif  // BERTH_PROTOCOL_BASE_SERVICE_CONTROL_H_
