// SPDX-License-Identifier: Apache-2.0
//
// Tree: a root file system as values, whatever it came from and whatever format it shall have.
//
// A path names an inode; names that share one are hard links. No path of the model is ever given to
// the kernel to resolve while a source is read, and no symbolic link of it is followed, so that an
// archive cannot reach what is outside of it. Paths are relative, "" is the root, parts are joined
// by single slashes; the map's order puts a directory before what is in it.
#ifndef BERTH_IMAGES_ROOTFS_TREE_H_
#define BERTH_IMAGES_ROOTFS_TREE_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "protocol/base/result.h"

namespace berth::image {

enum class Type : uint8_t { kFile, kDirectory, kSymlink, kCharDevice, kBlockDevice, kFifo };

// S_IFREG and so on; libarchive's AE_IFREG are the same.
mode_t TypeBits(Type type);

// The bytes of a file, in the spool (spool.h).
struct Content {
  uint64_t id = 0;
  uint64_t bytes = 0;
  std::string sha256;
};

struct Inode {
  Type type = Type::kFile;
  mode_t mode = 0644;  // 07777 of it
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t mtime = 0;  // seconds
  uint32_t major = 0;
  uint32_t minor = 0;
  std::string target;                         // kSymlink
  std::map<std::string, std::string> xattrs;  // "security.capability" and so on → bytes
  Content content;                            // kFile
};

struct Entry {
  std::shared_ptr<Inode> inode;
  int layer = 0;  // that put this name here
};

// "./a//b/" -> "a/b". Refuses what is absolute, has "..", or is longer than file systems take.
Result<std::string> CleanPath(std::string_view raw);

std::string_view ParentOf(std::string_view path);
std::string_view NameOf(std::string_view path);
// For messages: control characters and what is not ASCII as \xNN, backslash doubled.
std::string Quoted(std::string_view path);

class Tree {
 public:
  Tree();

  // Puts an inode at a clean path, in place of what was there; directories that are missing above
  // it are made. A directory over a directory keeps what is in it. ENOTDIR where something above
  // it is no directory, links included.
  Result<> Put(std::string_view path, Inode inode, int layer = 0);
  // A further name of what is at `target`, which must be there and be no directory.
  Result<> Link(std::string_view path, std::string_view target, int layer = 0);

  // The whiteouts of the OCI image specification: they hide what lower layers have, never what
  // `layer` itself has put there.
  void Whiteout(std::string_view path, int layer);
  void Opaque(std::string_view path, int layer);

  const Inode* Find(std::string_view path) const;
  // Where `path` leads once symbolic links are followed inside the tree: for what we put into it
  // ourselves, /sbin being a link to usr/sbin. The last part may be missing, and is not followed.
  Result<std::string> Resolve(std::string_view path) const;

  const std::map<std::string, Entry, std::less<>>& entries() const { return entries_; }
  uint64_t content_bytes() const;
  // Times later than `epoch` become it, negative ones 0.
  void ClampTimes(int64_t epoch);
  void OwnedByRoot();

 private:
  // Puts a name in, within kMaxEntries and kMaxTreeMetadataBytes: E2BIG beyond. `bytes`: what its
  // inode takes, where that is new.
  Result<> Add(std::string_view path, Entry entry, uint64_t bytes);
  Result<> MakeParents(std::string_view path, int layer);
  void RemoveLower(std::string_view path, bool itself, int layer);
  void RemoveAll(std::string_view path);
  bool HasChildren(std::string_view path) const;

  std::map<std::string, Entry, std::less<>> entries_;
  uint64_t metadata_bytes_ = 0;
};

}  // namespace berth::image

#endif  // BERTH_IMAGES_ROOTFS_TREE_H_
