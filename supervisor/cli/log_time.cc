// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/log_time.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "supervisor/cli/command.h"

namespace berth::cli {

namespace {

constexpr int64_t kMaxSeconds = 9'000'000'000;  // the year 2255; a clock of 63 bits ends in 2262

// Takes exactly `digits` digits off the front.
std::optional<int> TakeDigits(std::string_view& text, size_t digits) {
  if (text.size() < digits) return std::nullopt;
  int value = 0;
  for (const char c : text.substr(0, digits)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool TakeOne(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

// ".123": milliseconds; what follows the third digit is dropped. No fraction: 0.
std::optional<int> TakeFraction(std::string_view& text) {
  if (!TakeOne(text, ".")) return 0;
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits == 0) return std::nullopt;
  int ms = 0;
  for (size_t i = 0; i < 3; ++i) ms = ms * 10 + (i < digits ? text[i] - '0' : 0);
  text.remove_prefix(digits);
  return ms;
}

// "Z", "+01:00": seconds east of Greenwich.
std::optional<int> TakeZone(std::string_view& text) {
  if (TakeOne(text, "Zz")) return 0;
  const bool west = text.starts_with('-');
  if (!TakeOne(text, "+-")) return std::nullopt;
  const auto hours = TakeDigits(text, 2);
  if (!hours || !TakeOne(text, ":")) return std::nullopt;
  const auto minutes = TakeDigits(text, 2);
  if (!minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  return (*hours * 3600 + *minutes * 60) * (west ? -1 : 1);
}

std::optional<int64_t> ParseUnix(std::string_view text) {
  int64_t seconds = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (parsed.ec != std::errc() || seconds < 0 || seconds > kMaxSeconds) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(parsed.ptr - text.data()));
  const auto ms = TakeFraction(text);
  if (!ms || !text.empty()) return std::nullopt;
  return seconds * 1000 + *ms;
}

std::optional<int64_t> ParseCalendar(std::string_view text) {
  const auto year = TakeDigits(text, 4);
  if (!year || !TakeOne(text, "-")) return std::nullopt;
  const auto month = TakeDigits(text, 2);
  if (!month || !TakeOne(text, "-")) return std::nullopt;
  const auto day = TakeDigits(text, 2);
  if (!day) return std::nullopt;
  std::optional<int> hour = 0;
  std::optional<int> minute = 0;
  std::optional<int> second = 0;
  std::optional<int> ms = 0;
  if (!text.empty()) {
    if (!TakeOne(text, "Tt ")) return std::nullopt;
    hour = TakeDigits(text, 2);
    if (!hour || !TakeOne(text, ":")) return std::nullopt;
    minute = TakeDigits(text, 2);
    if (TakeOne(text, ":")) {
      second = TakeDigits(text, 2);
      ms = TakeFraction(text);
    }
    if (!minute || !second || !ms) return std::nullopt;
  }
  std::optional<int> zone;
  if (!text.empty()) {
    zone = TakeZone(text);
    if (!zone || !text.empty()) return std::nullopt;
  }
  if (*year < 1970 || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  tm parts{};
  parts.tm_year = *year - 1900;
  parts.tm_mon = *month - 1;
  parts.tm_mday = *day;
  // A day that the month has not would pass for one of the next month.
  tm date = parts;
  if (timegm(&date) < 0 || date.tm_mon != *month - 1 || date.tm_mday != *day) return std::nullopt;
  parts.tm_hour = *hour;
  parts.tm_min = *minute;
  parts.tm_sec = *second;
  parts.tm_isdst = -1;
  const time_t seconds = zone ? timegm(&parts) - *zone : mktime(&parts);
  if (seconds < 0 || seconds > kMaxSeconds) return std::nullopt;
  return int64_t{seconds} * 1000 + *ms;
}

}  // namespace

uint64_t ParseLogTime(const std::string& text, int64_t now_ms) {
  std::optional<int64_t> ms;
  if (text.starts_with('@')) {
    ms = ParseUnix(std::string_view(text).substr(1));
  } else if (text.size() >= 10 && text[4] == '-') {
    ms = ParseCalendar(text);
  } else {
    try {
      ms = std::max<int64_t>(0, now_ms - ParseDuration(text).count());
    } catch (const CLI::ValidationError&) {
      ms.reset();
    }
  }
  if (!ms) {
    throw CLI::ValidationError(
        "'" + text +
        "' is no time: 10m (ago), 2026-11-21 10:00:00, 2026-11-21T10:00:00Z, @1795255200");
  }
  return static_cast<uint64_t>(*ms);
}

std::string ShowLogTime(int64_t realtime_ns, bool utc) {
  const time_t seconds = realtime_ns / 1'000'000'000;
  const int64_t ms = realtime_ns / 1'000'000 % 1000;
  tm parts{};
  if (utc) {
    gmtime_r(&seconds, &parts);
  } else {
    localtime_r(&seconds, &parts);
  }
  std::string text =
      fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}", parts.tm_year + 1900,
                  parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, ms);
  const long east = utc ? 0 : parts.tm_gmtoff;
  if (east == 0) return text + "Z";
  const long minutes = std::abs(east) / 60;
  return text + fmt::format("{}{:02}:{:02}", east < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

}  // namespace berth::cli
