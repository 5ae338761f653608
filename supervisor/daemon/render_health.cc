// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/render_health.h"

#include "protocol/base/text.h"
#include "protocol/wire/limits.h"

namespace berth::daemon {

using lifecycle::HealthVerdict;
using nlohmann::json;

namespace {

std::string_view SourceName(v1::HealthReply::Check::Source source) {
  switch (source) {
    case v1::HealthReply::Check::HOST:
      return "spec";
    case v1::HealthReply::Check::SERVICE:
      return "service";
    default:
      return "guest";
  }
}

// Milliseconds of the guest's clock; null: never.
json GuestMs(uint64_t us) { return us == 0 ? json() : json(static_cast<double>(us) / 1000); }

}  // namespace

std::string HealthWord(const lifecycle::Instance::View& view) {
  if (view.agent == lifecycle::AgentState::kLost)
    return std::string(Name(HealthVerdict::kUnhealthy));
  if (view.health.rows.empty()) return "-";
  return std::string(Name(Overall(view.health.rows)));
}

json HealthJson(const v1::HealthReply& reply) {
  json checks = json::array();
  const auto rows = lifecycle::RowsOf(reply);
  for (const auto& check : reply.checks()) {
    const std::string name = Printable(check.name(), wire::kMaxHealthNameBytes);
    HealthVerdict verdict = HealthVerdict::kUnknown;
    for (const auto& row : rows) {
      if (row.name == name) verdict = row.verdict;
    }
    json row = {{"name", name},
                {"state", Name(verdict)},
                {"source", SourceName(check.source())},
                {"result", Printable(check.result(), wire::kMaxHealthTextBytes)},
                {"output", Printable(check.output(), wire::kMaxHealthOutputBytes, "\n\t")},
                {"since_ms", GuestMs(check.since_us())}};
    if (check.source() != v1::HealthReply::Check::SERVICE) {
      row["runs"] = check.runs();
      row["failures"] = check.failures();
      row["changes"] = check.changes();
      row["last_ms"] = GuestMs(check.last_us());
      row["took_ms"] = GuestMs(check.took_us());
      row["next_ms"] = GuestMs(check.next_us());
    }
    checks.push_back(std::move(row));
  }
  return checks;
}

json HealthJson(const lifecycle::GuestHealth& health) {
  json checks = json::array();
  for (const auto& row : health.rows) {
    checks.push_back({{"name", row.name}, {"state", Name(row.verdict)}, {"result", row.result}});
  }
  return checks;
}

json ClockJson(const lifecycle::ClockReport& report) {
  json out = {{"offset_ms", static_cast<double>(report.offset_ns) / 1e6},
              {"error_ms", static_cast<double>(report.error_ns) / 1e6},
              {"stepped", report.stepped},
              {"own_time", report.own_time}};
  if (!report.why.empty()) out["why"] = report.why;
  return out;
}

}  // namespace berth::daemon
