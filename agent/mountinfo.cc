// SPDX-License-Identifier: Apache-2.0
#include "agent/mountinfo.h"

#include <algorithm>
#include <ranges>
#include <span>

namespace berth::agent {
namespace {

// The next word; `line` loses it.
std::string_view TakeWord(std::string_view& line) {
  const size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

// "\040" is a space: the kernel escapes space, tab, newline and backslash so.
std::string Unescape(std::string_view text) {
  const auto octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && octal(text[i + 1]) && octal(text[i + 2]) &&
        octal(text[i + 3])) {
      const int value = (text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0');
      out += static_cast<char>(value & 0xFF);
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool HasOption(std::string_view options, std::string_view wanted) {
  while (!options.empty()) {
    const size_t end = std::min(options.find(','), options.size());
    if (options.substr(0, end) == wanted) return true;
    options.remove_prefix(std::min(end + 1, options.size()));
  }
  return false;
}

}  // namespace

std::vector<MountRow> ParseMountinfo(std::string_view text, size_t max_rows) {
  std::vector<MountRow> rows;
  while (!text.empty() && rows.size() < max_rows) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    MountRow row;
    TakeWord(line);  // mount id
    TakeWord(line);  // its parent's
    row.device = TakeWord(line);
    TakeWord(line);  // the root within the file system
    row.path = Unescape(TakeWord(line));
    TakeWord(line);  // options of the mount
    bool separated = false;
    while (!line.empty() && !separated) separated = TakeWord(line) == "-";
    row.type = TakeWord(line);
    row.source = Unescape(TakeWord(line));
    row.read_only = HasOption(TakeWord(line), "ro");
    if (!separated || row.type.empty() || !row.path.starts_with('/')) continue;
    if (row.path.find('\0') != std::string::npos) continue;
    rows.push_back(std::move(row));
  }
  return rows;
}

FreezePlan PlanFreeze(const std::vector<MountRow>& rows) {
  FreezePlan plan;
  std::vector<std::string_view> seen;
  for (const MountRow& row : std::ranges::reverse_view(std::span(rows))) {
    // Major 0 is no device: the file system is the kernel's own, a network's, or in memory.
    if (row.device.starts_with("0:")) {
      if (row.type == "overlay") {
        plan.skipped.push_back({row, "an overlay: its upper layer is frozen where it is mounted"});
      }
      continue;
    }
    if (std::ranges::find(seen, row.device) != seen.end()) continue;
    seen.push_back(row.device);
    if (row.read_only) {
      plan.skipped.push_back({row, "read-only"});
    } else {
      plan.freeze.push_back(row);
    }
  }
  return plan;
}

}  // namespace berth::agent
