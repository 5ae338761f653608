// SPDX-License-Identifier: Apache-2.0
//
// What a guest says of its health, as the host keeps it: checked, printable, and never more than
// the guest's claim but for the agent, which the host sees itself. Values; any thread.
#ifndef BERTH_SUPERVISOR_LIFECYCLE_HEALTH_H_
#define BERTH_SUPERVISOR_LIFECYCLE_HEALTH_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/proto/berth.pb.h"

namespace berth::lifecycle {

enum class HealthVerdict : uint8_t { kUnknown, kHealthy, kUnhealthy };
std::string_view Name(HealthVerdict verdict);

struct HealthRow {
  std::string name = {};
  HealthVerdict verdict = HealthVerdict::kUnknown;
  std::string result = {};  // of its last run
  bool operator==(const HealthRow&) const = default;
};

struct GuestHealth {
  std::vector<HealthRow> rows;  // by name
  uint64_t version = 0;         // of the rows; 0: never heard
};

// The rows of an answer that passed guest::CheckHealthReply, one of each name.
std::vector<HealthRow> RowsOf(const v1::HealthReply& reply);

// What `after` says that `before` did not, a line each: "web is unhealthy: status 503".
std::vector<std::string> HealthNews(const std::vector<HealthRow>& before,
                                    const std::vector<HealthRow>& after);

// Unhealthy where one is, else unknown where one is, else healthy; no rows are healthy.
HealthVerdict Overall(const std::vector<HealthRow>& rows);

// What the host found of the guest's clock, and did.
struct ClockReport {
  int64_t offset_ns = 0;  // the guest's less the host's, before a step
  int64_t error_ns = 0;   // the truth is within so much of it
  bool stepped = false;
  bool own_time = false;  // the guest's configuration keeps its clock from the host
  std::string why = {};   // why it was not stepped though it is off, printable
};

// A clock is looked at this often, and one that drifts up to this often.
inline constexpr std::chrono::nanoseconds kSlowestClockLook = std::chrono::minutes(10);
inline constexpr std::chrono::nanoseconds kFastestClockLook = std::chrono::seconds(10);
// When to look again, after a look that came `last` after the one before it.
std::chrono::nanoseconds NextClockLook(std::chrono::nanoseconds last, bool stepped);

// "was 3600.123 s ahead (± 0.4 ms); set".
std::string Explain(const ClockReport& report);

}  // namespace berth::lifecycle

#endif  // BERTH_SUPERVISOR_LIFECYCLE_HEALTH_H_
