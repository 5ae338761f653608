// SPDX-License-Identifier: Apache-2.0
//
// A disk that holds nothing becomes an ext4, with no program of the image to do it: berth-init
// carries a small empty ext4 that mke2fs(8) made when Berth was built (make_blank_ext4), writes
// that, and has the kernel grow it to the disk's size.
//
// Only a disk whose first and last kBlankProbeBytes are zeros counts as blank: no file system,
// partition table, LUKS, LVM or RAID member that has its mark elsewhere is known.
#ifndef BERTH_INIT_BLANK_DISK_H_
#define BERTH_INIT_BLANK_DISK_H_

#include <cstddef>
#include <string>

#include "protocol/base/result.h"

namespace berth::init {

inline constexpr size_t kBlankProbeBytes = 128 * 1024;

// `fd`: a block device or file. Step "blank-disk".
Result<bool> IsBlankDisk(int fd);

// Writes the empty ext4 and syncs it. All of it that lies within the probed bytes goes last, in one
// write, so that a machine that dies on the way leaves a disk that is still blank. ENOSPC where
// the disk is smaller than the file system (16 MiB).
Result<> WriteEmptyExt4(int fd);

// Grows the ext4 mounted at `mount_point` to the size of `device`, and gives a file system that is
// new a UUID of its own. For a file system that fills its device already this does nothing.
Result<> GrowExt4(const std::string& mount_point, const std::string& device, bool is_new);

}  // namespace berth::init

#endif  // BERTH_INIT_BLANK_DISK_H_
