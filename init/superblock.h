// SPDX-License-Identifier: Apache-2.0
//
// Which file system a block device holds, told from its first bytes. Pure.
#ifndef BERTH_INIT_SUPERBLOCK_H_
#define BERTH_INIT_SUPERBLOCK_H_

#include <cstddef>
#include <span>

namespace berth::init {

inline constexpr size_t kSuperblockBytes = 4096;  // what FilesystemOf wants to see

// "erofs", "ext4", "squashfs" or "xfs"; nullptr where it is none of these.
const char* FilesystemOf(std::span<const std::byte> start);

// File systems that cannot be written, whatever the mount flags.
bool IsReadOnlyFilesystem(const char* fstype);

}  // namespace berth::init

#endif  // BERTH_INIT_SUPERBLOCK_H_
