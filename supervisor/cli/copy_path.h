// SPDX-License-Identifier: Apache-2.0
//
// The operands of `berth cp`: which side of a copy each names. Pure.
#ifndef BERTH_SUPERVISOR_CLI_COPY_PATH_H_
#define BERTH_SUPERVISOR_CLI_COPY_PATH_H_

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace berth::cli {

struct CopyPath {
  std::string vm;       // empty: this host's
  std::string path;     // in a VM absolute: one that is not counts from /
  bool stream = false;  // "-": stdin or stdout
};

// "VM:PATH" is a VM's; what has no ':', or a '/' in front of it, is this host's.
CopyPath ParseCopyPath(std::string_view text);

// One side a VM's, the other this host's; a stream alone. The mistake, for a person.
std::expected<void, std::string> CheckCopyPaths(const std::vector<CopyPath>& sources,
                                                const CopyPath& to);

// "1023 B", "1.5 KiB", "12.0 MiB".
std::string ByteCount(uint64_t bytes);

}  // namespace berth::cli

#endif  // BERTH_SUPERVISOR_CLI_COPY_PATH_H_
