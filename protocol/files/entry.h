// SPDX-License-Identifier: Apache-2.0
//
// What may stand in the messages of a copy. The end that receives a tree checks each message by
// these functions before it does anything for it; whoever sends keeps the same bounds.
#ifndef BERTH_PROTOCOL_FILES_ENTRY_H_
#define BERTH_PROTOCOL_FILES_ENTRY_H_

#include <sys/stat.h>

#include <string>
#include <string_view>

#include "protocol/base/result.h"
#include "protocol/proto/berth.pb.h"

namespace berth::files {

// The low twelve bits of st_mode.
inline constexpr uint32_t kModeBits = 07777;
// Of those, what lends somebody's rights to whoever runs the file.
inline constexpr uint32_t kSetIdBits = 06000;

// The name of an entry in a directory: not empty, not "." or "..", without '/' and null, and within
// wire::kMaxCopyNameBytes.
bool IsEntryName(std::string_view name);

// The agent, of what the host asks: EINVAL.
Result<> CheckCopyStart(const v1::CopyStart& start);

// A receiver: EPROTO. `first`: the root of what is copied, which has no name of the sender's.
Result<> CheckCopyEntry(const v1::CopyEntry& entry, bool first);

// A name, its last directory, or both, of a path that a person gave.
struct SplitPath {
  std::string directory;  // "." where the path has none
  std::string name;       // empty for "/", ".", ".." and what ends so: it has no name of its own
  bool trailing_slash = false;
};
SplitPath Split(std::string_view path);

// A path as an error or a line of progress shows it.
std::string Shown(std::string_view path);

// An entry of the kind of `status` with its metadata; KIND_NONE where it cannot be copied (a device
// or a socket).
v1::CopyEntry EntryOf(const struct stat& status);

}  // namespace berth::files

#endif  // BERTH_PROTOCOL_FILES_ENTRY_H_
