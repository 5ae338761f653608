// SPDX-License-Identifier: Apache-2.0
//
// /proc/self/mountinfo, proc_pid_mountinfo(5), and which of its mounts can be looked at, and
// frozen. Pure.
#ifndef BERTH_AGENT_MOUNTINFO_H_
#define BERTH_AGENT_MOUNTINFO_H_

#include <string>
#include <string_view>
#include <vector>

namespace berth::agent {

struct MountRow {
  std::string device;  // "254:0"
  std::string path;    // its escapes undone
  std::string type;
  std::string source;
  bool read_only = false;  // the file system, whatever the mount
};

// The rows that are whole.
std::vector<MountRow> ParseMountinfo(std::string_view text);

// File systems of block devices, each device once, where it was mounted first: statfs(2) of any
// other, and of a fuse over one, may hang.
std::vector<MountRow> BlockMounts(const std::vector<MountRow>& rows);

struct FreezePlan {
  std::vector<MountRow> freeze;  // one of each device, in the order in which to freeze
  struct Skipped {
    MountRow row;
    std::string why;
  };
  std::vector<Skipped> skipped;
};
// Writable file systems on block devices; those mounted last come first, for they may lie in files
// of those before them. What no device stands behind (proc, tmpfs, overlay …) is left out without a
// word, but for overlay, whose upper layer is what counts.
FreezePlan PlanFreeze(const std::vector<MountRow>& rows);

}  // namespace berth::agent

#endif  // BERTH_AGENT_MOUNTINFO_H_
