// SPDX-License-Identifier: Apache-2.0
//
// Sources of a root file system: a directory, a tar archive, an image of an OCI layout. Each
// becomes a Tree, its files copied to a Spool. Blocks; one thread.
#ifndef BERTH_IMAGES_ROOTFS_SOURCE_H_
#define BERTH_IMAGES_ROOTFS_SOURCE_H_

#include <optional>
#include <string>
#include <vector>

#include "images/rootfs/cancel.h"
#include "images/rootfs/oci.h"
#include "images/rootfs/spool.h"
#include "images/rootfs/tree.h"

struct archive;

namespace berth::image {

inline constexpr const char* kReadAsOwner = "read it as its owner, or take it away";

// What could not be kept, for the person and for the manifest.
class Warnings {
 public:
  void Add(std::string text);  // the same text counts once
  std::vector<std::string> List() const;

 private:
  std::vector<std::string> list_;
  size_t more_ = 0;
};

struct Loading {
  Spool& spool;
  Warnings& warnings;
  Cancel cancel;
};

struct Source {
  Tree tree;
  std::string kind;               // "directory", "tar", "oci"
  std::string digest;             // "sha256:…" of the archive, or of the OCI manifest; else empty
  std::optional<OciConfig> main;  // what the OCI image says is to be run
};

// "oci:LAYOUT[:TAG]", a directory, or a tar archive, see SupportCompressions.
Result<Source> LoadSource(const std::string& from, Loading& loading);

Result<Source> LoadDirectory(const std::string& path, Loading& loading);
Result<Source> LoadOci(const std::string& layout, const std::string& tag, Loading& loading);

// A file that is hashed as it is read, so that what is used is what the digest is of.
class HashedFile {
 public:
  HashedFile(UniqueFd fd, std::string name, Cancel cancel)
      : fd_(std::move(fd)), name_(std::move(name)), cancel_(cancel) {}
  const std::string& name() const { return name_; }
  // Some bytes, good until the next call; none at the end.
  Result<std::span<const std::byte>> Read();
  // Reads what is left. The digest of the whole; once.
  Result<std::string> Finish();

 private:
  UniqueFd fd_;
  std::string name_;  // for errors
  Cancel cancel_;
  Sha256 sha256_;
  std::vector<std::byte> buffer_;
};

// Puts an archive's entries into a tree; `layer` > 0 applies whiteouts.
Result<> ApplyTar(HashedFile& file, int layer, Tree& tree, Loading& loading);

// Lets a libarchive reader take every compression that libarchive undoes itself. For the others it
// would run a program found on PATH, on bytes from strangers.
void SupportCompressions(archive* reader);

// Adds one extended attribute, within what can be carried into an image. E2BIG names it.
Result<> AddXattr(Inode& inode, const std::string& path, std::string name, std::string value);

}  // namespace berth::image

#endif  // BERTH_IMAGES_ROOTFS_SOURCE_H_
