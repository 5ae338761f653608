// SPDX-License-Identifier: Apache-2.0
#include "init/superblock.h"

#include <cstring>
#include <string_view>

namespace berth::init {
namespace {

using std::string_view_literals::operator""sv;

struct Magic {
  const char* fstype;
  size_t offset;
  std::string_view bytes;
};

// From the kernel's include/uapi/linux/magic.h and the superblock structs, as bytes on disk.
constexpr Magic kMagics[] = {
    {"erofs", 1024, "\xe2\xe1\xf5\xe0"sv},
    {"squashfs", 0, "hsqs"sv},
    {"ext4", 1024 + 56, "\x53\xef"sv},  // ext2 and ext3 too: ext4 mounts them
    {"xfs", 0, "XFSB"sv},
};

}  // namespace

const char* FilesystemOf(std::span<const std::byte> start) {
  for (const Magic& magic : kMagics) {
    if (start.size() < magic.offset + magic.bytes.size()) continue;
    if (std::memcmp(start.data() + magic.offset, magic.bytes.data(), magic.bytes.size()) == 0) {
      return magic.fstype;
    }
  }
  return nullptr;
}

bool IsReadOnlyFilesystem(const char* fstype) {
  const std::string_view name = fstype;
  return name == "erofs" || name == "squashfs" || name == "iso9660";
}

}  // namespace berth::init
