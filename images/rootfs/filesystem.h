// SPDX-License-Identifier: Apache-2.0
//
// From a Tree to the file that holds it as erofs, ext4, squashfs or an initramfs.
//
// The first three are made by their own tools from a folder of ours, under fakeroot: the folder's
// files are links to the spool, and owners, modes, devices and extended attributes are what
// fakeroot's daemon says they are. The archive is written by libarchive from the Tree itself.
#ifndef BERTH_IMAGES_ROOTFS_FILESYSTEM_H_
#define BERTH_IMAGES_ROOTFS_FILESYSTEM_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "images/rootfs/source.h"
#include "images/rootfs/spool.h"
#include "images/rootfs/tree.h"

namespace berth::image {

enum class Format : uint8_t { kErofs, kExt4, kSquashfs, kInitramfs };
std::optional<Format> FormatNamed(std::string_view name);
std::string_view NameOf(Format format);

struct MakeOptions {
  std::string work_dir;  // with a disk that has room for the result
  int64_t epoch = 1;     // SOURCE_DATE_EPOCH: all times of the file system itself
  std::string uuid;
  uint64_t bytes = 0;  // ext4: the size of the file system; 0: from the content, with slack
};

Result<> NeedToolsFor(Format format);
// {"dump.erofs": "dump.erofs 1.5"}: what made the bytes, as its package calls itself; nothing where
// it does not say.
Result<nlohmann::json> ToolVersions(Format format, const Cancel& cancel);

// kErofs, kExt4, kSquashfs.
Result<> MakeFileSystem(Format format, const Tree& tree, const Spool& spool,
                        const MakeOptions& options, const std::string& out, const Cancel& cancel);

// A newc archive, names in order, inodes numbered in it. Extended attributes cannot be in one: a
// warning names each file that has any. `zstd`: compressed.
Result<> WriteInitramfs(const Tree& tree, const Spool& spool, bool zstd, const std::string& out,
                        Warnings& warnings, const Cancel& cancel);

// The content of every name: type, mode, owner, times, bytes. The same for the same tree.
std::string DigestOf(const Tree& tree);
// "xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx" of a hexadecimal digest.
std::string UuidOf(const std::string& digest);

}  // namespace berth::image

#endif  // BERTH_IMAGES_ROOTFS_FILESYSTEM_H_
