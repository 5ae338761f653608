// SPDX-License-Identifier: Apache-2.0
//
// Levels of log records, by the names that syslog(3) gives them.
#ifndef BERTH_SUPERVISOR_LOGS_LEVEL_H_
#define BERTH_SUPERVISOR_LOGS_LEVEL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace berth::logs {

inline constexpr std::array<std::string_view, 8> kLevelNames = {
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"};

constexpr std::string_view LevelName(uint8_t level) { return kLevelNames[level & 7]; }

// Also of their digits, and of "error", "warn" and "panic", which syslog took once.
constexpr std::optional<uint8_t> LevelNamed(std::string_view name) {
  if (name == "error") name = "err";
  if (name == "warn") name = "warning";
  if (name == "panic") name = "emerg";
  if (name.size() == 1 && name[0] >= '0' && name[0] <= '7') {
    return static_cast<uint8_t>(name[0] - '0');
  }
  for (size_t i = 0; i < kLevelNames.size(); ++i) {
    if (kLevelNames[i] == name) return static_cast<uint8_t>(i);
  }
  return std::nullopt;
}

}  // namespace berth::logs

#endif  // BERTH_SUPERVISOR_LOGS_LEVEL_H_
