// SPDX-License-Identifier: Apache-2.0
//
// Log records as the API has them. Pure functions; what stands in a record is the guest's word, and
// goes out as it is, within JSON.
#ifndef BERTH_SUPERVISOR_DAEMON_RENDER_LOGS_H_
#define BERTH_SUPERVISOR_DAEMON_RENDER_LOGS_H_

#include <nlohmann/json.hpp>
#include <optional>

#include "supervisor/lifecycle/fault.h"
#include "supervisor/logs/store.h"

namespace berth::daemon {

struct LogQuery {
  std::string cursor;  // empty: none
  logs::Filter filter;
  std::optional<size_t> last;
  logs::PageBounds bounds;
  std::chrono::milliseconds follow{0};
};

// Of checked parameters; step "logs", EINVAL where one has no such value.
lifecycle::Outcome<LogQuery> LogQueryOf(const nlohmann::json& params);

// A cursor as clients hold it: "<store>-<boot>-<number>". EINVAL: not one; ESTALE: of another
// store, for the VM was removed and created anew.
std::string LogCursor(uint64_t store, logs::Position at);
Result<logs::Position> ParseLogCursor(uint64_t store, std::string_view cursor);

nlohmann::json LogLineJson(uint64_t store, const logs::Line& line);

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_RENDER_LOGS_H_
