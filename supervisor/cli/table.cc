// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/table.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "protocol/base/text.h"

namespace berth::cli {
namespace {

constexpr size_t kGap = 2;

// Characters, not bytes: continuation bytes of UTF-8 take no column.
size_t Columns(const std::string& text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; }));
}

std::string Cut(const std::string& text, size_t columns) {
  if (Columns(text) <= columns) return text;
  std::string out;
  size_t used = 0;
  for (const char c : text) {
    const bool starts = (static_cast<uint8_t>(c) & 0xc0) != 0x80;
    if (starts && ++used >= columns) break;
    out += c;
  }
  return out + "…";
}

}  // namespace

std::string Table::Render(size_t width) const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Columns(row[i]));
  }
  constexpr size_t kLeastLastColumn = 8;
  size_t before_last = 0;
  for (size_t i = 0; i + 1 < widths.size(); ++i) before_last += widths[i] + kGap;
  const size_t last =
      width > before_last ? std::max(width - before_last, kLeastLastColumn) : kLeastLastColumn;
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      if (i + 1 == widths.size()) {
        line += width == 0 ? row[i] : Cut(row[i], last);
      } else {
        line += row[i] + std::string(widths[i] - Columns(row[i]) + kGap, ' ');
      }
    }
    while (line.ends_with(' ')) line.pop_back();
    out += line + "\n";
  }
  return out;
}

size_t TerminalWidth() {
  winsize size{};
  if (isatty(STDOUT_FILENO) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

std::string OneLine(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  return Printable(text);
}

std::string ClockTime(int64_t realtime_ns) {
  const time_t seconds = realtime_ns / 1'000'000'000;
  tm parts{};
  localtime_r(&seconds, &parts);
  return fmt::format("{:02}:{:02}:{:02}.{:03}", parts.tm_hour, parts.tm_min, parts.tm_sec,
                     realtime_ns / 1'000'000 % 1000);
}

std::string Ago(int64_t realtime_ns, int64_t now_ns) {
  const int64_t seconds = std::max<int64_t>(0, (now_ns - realtime_ns) / 1'000'000'000);
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 7200) return fmt::format("{} min", seconds / 60);
  if (seconds < 172'800) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} d", seconds / 86'400);
}

}  // namespace berth::cli
