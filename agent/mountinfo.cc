// SPDX-License-Identifier: Apache-2.0
#include "agent/mountinfo.h"

#include <algorithm>
#include <ranges>
#include <span>

#include "protocol/base/parse.h"

namespace berth::agent {
namespace {

bool HasOption(std::string_view options, std::string_view wanted) {
  while (!options.empty()) {
    if (Cut(options, ',') == wanted) return true;
  }
  return false;
}

}  // namespace

std::vector<MountRow> ParseMountinfo(std::string_view text) {
  std::vector<MountRow> rows;
  while (!text.empty()) {
    std::string_view line = Cut(text, '\n');
    const auto word = [&line] { return Cut(line, ' '); };
    MountRow row;
    word();  // mount id
    word();  // its parent's
    row.device = word();
    word();  // the root within the file system
    row.path = UnescapeMountField(word());
    word();  // options of the mount
    bool separated = false;
    while (!line.empty() && !separated) separated = word() == "-";
    row.type = word();
    row.source = UnescapeMountField(word());
    row.read_only = HasOption(word(), "ro");
    if (!separated || row.type.empty() || !row.path.starts_with('/')) continue;
    if (row.path.find('\0') != std::string::npos) continue;
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<MountRow> BlockMounts(const std::vector<MountRow>& rows) {
  std::vector<MountRow> mounts;
  for (const MountRow& row : rows) {
    if (row.device.starts_with("0:") || !row.source.starts_with("/dev/") ||
        row.type.starts_with("fuse") ||
        std::ranges::find(mounts, row.source, &MountRow::source) != mounts.end()) {
      continue;
    }
    mounts.push_back(row);
  }
  return mounts;
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
