// SPDX-License-Identifier: Apache-2.0
//
// Points in time as `berth logs` reads and writes them. Local time is TZ's. Pure but for that.
#ifndef BERTH_SUPERVISOR_CLI_LOG_TIME_H_
#define BERTH_SUPERVISOR_CLI_LOG_TIME_H_

#include <cstdint>
#include <string>

namespace berth::cli {

// Milliseconds since 1970 of "10m" (so long before `now_ms`), "2026-11-21 10:00:00" and
// "2026-11-21" (local), RFC 3339, or "@1795255200". Seconds may have a fraction. For CLI11: throws
// CLI::ValidationError.
uint64_t ParseLogTime(const std::string& text, int64_t now_ms);

// "2026-11-21T10:00:00.123Z", or local: "2026-11-21T11:00:00.123+01:00".
std::string ShowLogTime(int64_t realtime_ns, bool utc);

}  // namespace berth::cli

#endif  // BERTH_SUPERVISOR_CLI_LOG_TIME_H_
