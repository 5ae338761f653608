// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/health_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "supervisor/cli/table.h"

namespace berth::cli {

using nlohmann::json;

namespace {

std::string CellText(const json& row, const char* name) {
  const auto found = row.find(name);
  return found != row.end() && found->is_string() ? OneLine(found->get<std::string>()) : "";
}

std::string SinceText(const json& row, double now_ms) {
  const auto since = row.find("since_ms");
  if (since == row.end() || !since->is_number() || now_ms <= 0) return "-";
  constexpr double kMsToNs = 1e6;
  return Ago(0, static_cast<int64_t>(std::max(0.0, now_ms - since->get<double>()) * kMsToNs));
}

std::string CountText(const json& row, const char* name) {
  const auto found = row.find(name);
  return found != row.end() && found->is_number_unsigned() ? std::to_string(found->get<uint64_t>())
                                                           : "-";
}

}  // namespace

std::string RenderHealth(const json& health, size_t width) {
  Table table({"CHECK", "STATE", "SINCE", "RUNS", "FAILED", "FROM", "LAST RESULT"});
  const double now_ms = health.value("guest_ms", 0.0);
  std::string outputs;
  for (const json& row : health.value("checks", json::array())) {
    table.Add({CellText(row, "name"), CellText(row, "state"), SinceText(row, now_ms),
               CountText(row, "runs"), CountText(row, "failures"), CellText(row, "source"),
               CellText(row, "result")});
    const std::string output = row.value("output", "");
    if (CellText(row, "state") != "unhealthy" || output.empty()) continue;
    outputs += fmt::format("\n{}:\n", CellText(row, "name"));
    for (size_t at = 0; at < output.size();) {
      const size_t end = std::min(output.find('\n', at), output.size());
      outputs += "  " + OneLine(output.substr(at, end - at)) + "\n";
      at = end + 1;
    }
  }
  std::string out = table.Render(width) + outputs;
  if (!health.value("fresh", true)) {
    out += "\nThe agent does not answer: the checks are as it last told them.\n";
  }
  return out;
}

std::string HealthStates(const json& health) {
  std::string states = health.value("health", "");
  for (const json& row : health.value("checks", json::array())) {
    states += "\n" + CellText(row, "name") + " " + CellText(row, "state");
  }
  return states;
}

std::string RenderClock(const json& clock) {
  const double offset = clock.value("offset_ms", 0.0);
  const bool stepped = clock.value("stepped", false);
  constexpr double kLongMs = 10'000;
  const double off = std::abs(offset);
  std::string out =
      off < kLongMs ? fmt::format("{:.1f} ms", off) : fmt::format("{:.3f} s", off / 1000);
  out += fmt::format(" {} (± {:.1f} ms)", offset < 0 ? "behind" : "ahead",
                     clock.value("error_ms", 0.0));
  if (stepped) out = "was " + out + "; set";
  if (const std::string why = CellText(clock, "why"); !why.empty()) out += "; not set: " + why;
  return out;
}

}  // namespace berth::cli
