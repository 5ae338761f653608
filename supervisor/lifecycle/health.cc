// SPDX-License-Identifier: Apache-2.0
#include "supervisor/lifecycle/health.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "protocol/base/text.h"
#include "protocol/wire/limits.h"

namespace berth::lifecycle {

namespace {

// A state of a later generation is one that we know nothing of.
HealthVerdict VerdictOf(v1::HealthReply::Check::State state) {
  switch (state) {
    case v1::HealthReply::Check::HEALTHY:
      return HealthVerdict::kHealthy;
    case v1::HealthReply::Check::UNHEALTHY:
      return HealthVerdict::kUnhealthy;
    default:
      return HealthVerdict::kUnknown;
  }
}

}  // namespace

std::string_view Name(HealthVerdict verdict) {
  switch (verdict) {
    case HealthVerdict::kUnknown:
      return "unknown";
    case HealthVerdict::kHealthy:
      return "healthy";
    case HealthVerdict::kUnhealthy:
      return "unhealthy";
  }
  return "unknown";
}

std::vector<HealthRow> RowsOf(const v1::HealthReply& reply) {
  std::map<std::string, HealthRow> rows;
  for (const auto& check : reply.checks()) {
    std::string name = Printable(check.name(), wire::kMaxHealthNameBytes);
    rows.insert_or_assign(name, HealthRow{name, VerdictOf(check.state()),
                                          Printable(check.result(), wire::kMaxHealthTextBytes)});
  }
  std::vector<HealthRow> out;
  for (auto& [name, row] : rows) out.push_back(std::move(row));
  return out;
}

std::vector<std::string> HealthNews(const std::vector<HealthRow>& before,
                                    const std::vector<HealthRow>& after) {
  std::vector<std::string> news;
  for (const HealthRow& row : after) {
    const auto had = std::ranges::find(before, row.name, &HealthRow::name);
    const HealthVerdict was = had == before.end() ? HealthVerdict::kUnknown : had->verdict;
    if (row.verdict == was) continue;
    news.push_back(fmt::format("{} is {}{}{}", row.name, Name(row.verdict),
                               row.result.empty() ? "" : ": ", row.result));
  }
  for (const HealthRow& row : before) {
    if (row.verdict == HealthVerdict::kUnknown ||
        std::ranges::find(after, row.name, &HealthRow::name) != after.end()) {
      continue;
    }
    news.push_back(fmt::format("{} is not looked at any more", row.name));
  }
  return news;
}

HealthVerdict Overall(const std::vector<HealthRow>& rows) {
  const auto any = [&](HealthVerdict verdict) {
    return std::ranges::count(rows, verdict, &HealthRow::verdict) != 0;
  };
  if (any(HealthVerdict::kUnhealthy)) return HealthVerdict::kUnhealthy;
  return any(HealthVerdict::kUnknown) ? HealthVerdict::kUnknown : HealthVerdict::kHealthy;
}

std::chrono::nanoseconds NextClockLook(std::chrono::nanoseconds last, bool stepped) {
  return std::clamp(stepped ? last / 4 : last * 2, kFastestClockLook, kSlowestClockLook);
}

std::string Explain(const ClockReport& report) {
  const double off = std::abs(static_cast<double>(report.offset_ns)) / 1e9;
  std::string text = fmt::format(
      "the guest's clock {} {:.3f} s {} (± {:.1f} ms)", report.stepped ? "was" : "is", off,
      report.offset_ns < 0 ? "behind" : "ahead", static_cast<double>(report.error_ns) / 1e6);
  if (report.stepped) text += "; it was set";
  if (!report.why.empty()) text += "; it was not set: " + report.why;
  return text;
}

}  // namespace berth::lifecycle
