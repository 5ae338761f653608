// SPDX-License-Identifier: Apache-2.0
//
// AgentSettings: what init.toml says to the agent, and the health checks that both it and a VM's
// spec may hold. PID 1 writes them to kAgentSettingsPath before it starts the agent, and again when
// the host's Configure changed them; the agent reads the file at its start and behind a Configure.
// Values; any thread.
//
// The file is a sequence of "key=value" texts, each ended by a null byte. "check=NAME" begins a
// check; what follows is about it. Both ends come from one build.
#ifndef BERTH_PROTOCOL_BASE_AGENT_SETTINGS_H_
#define BERTH_PROTOCOL_BASE_AGENT_SETTINGS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"

namespace berth {

inline constexpr const char* kAgentSettingsPath = "/run/berth/agent.settings";
inline constexpr size_t kMaxAgentSettingsBytes = 1024 * 1024;
inline constexpr size_t kMaxHealthChecks = 64;
inline constexpr size_t kMaxHealthNameBytes = 63;
inline constexpr size_t kMaxHealthArgs = 64;
inline constexpr size_t kMaxHealthArgsBytes = 8 * 1024;   // all of one check
inline constexpr size_t kMaxHealthTargetBytes = 1024;     // of an address, a URL, a path
inline constexpr size_t kMaxHealthBodyBytes = 256;        // that is looked for
inline constexpr int64_t kMinHealthMs = 10;               // interval and timeout
inline constexpr int64_t kMaxHealthMs = 24 * 3'600'000L;  // interval, timeout, start period
inline constexpr int kMaxHealthRow = 1000;                // healthy_after, unhealthy_after

enum class HealthKind : uint8_t { kExec = 0, kTcp = 1, kHttp = 2, kFile = 3 };

struct HealthCheck {
  std::string name;
  HealthKind kind = HealthKind::kExec;
  std::vector<std::string> exec;  // kExec: program and arguments; healthy where it ends with 0
  std::string target;             // kTcp: "ADDRESS:PORT", "PORT"; kHttp: URL; kFile: path
  std::string socket;             // kHttp: over this Unix socket; empty: TCP
  int status_min = 200;           // kHttp
  int status_max = 399;
  std::string body;  // kHttp: what the body must hold; empty: anything
  int64_t interval_ms = 10'000;
  int64_t timeout_ms = 5'000;   // of one run
  int64_t start_period_ms = 0;  // failures within it do not count
  int healthy_after = 1;        // successes in a row
  int unhealthy_after = 3;      // failures in a row
  bool operator==(const HealthCheck&) const = default;
};

struct AgentSettings {
  bool host_sets_clock = true;
  std::vector<HealthCheck> checks;
  bool operator==(const AgentSettings&) const = default;
};

// A name that a check may have: letters, digits, '_', '-', '.', not "agent", which is the host's.
bool IsHealthName(std::string_view name);

// What is wrong with a check, as the end of a sentence that begins with its name. EINVAL.
Result<> Validate(const HealthCheck& check);

struct TcpTarget {
  std::string address;  // IPv4 or IPv6, without brackets: nothing is looked up
  uint16_t port = 0;
};
// "80", "127.0.0.1:80", "localhost:80", "[::1]:80".
Result<TcpTarget> ParseTcpTarget(std::string_view text);

struct HttpTarget {
  TcpTarget tcp;
  std::string host;  // as it goes into the request
  std::string path;
};
// "http://127.0.0.1:8080/healthz".
Result<HttpTarget> ParseHttpTarget(std::string_view url);

// "200-399", "204".
Result<> ParseHttpStatus(std::string_view text, HealthCheck& check);

std::string EncodeAgentSettings(const AgentSettings& settings);
// Whatever passes has passed Validate, and no two checks have one name.
Result<AgentSettings> DecodeAgentSettings(std::string_view bytes);

}  // namespace berth

#endif  // BERTH_PROTOCOL_BASE_AGENT_SETTINGS_H_
