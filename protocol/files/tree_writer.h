// SPDX-License-Identifier: Apache-2.0
//
// TreeWriter: the receiving end of a copy (tree_reader.h has the form of what it takes). It checks
// each frame and makes what it says below one destination, without sockets.
//
// Its peer may be hostile, and so may be others that write in the destination while it does:
//   - a name is a single one, checked before it is used; the first entry's is the caller's own
//   - directories are held open and entries made relative to them; no symbolic link is followed,
//     but on the way to the destination that the caller named
//   - a file gets its name when all of it is there and its checksum is right; an entry of that name
//     is replaced then, a directory, a device or a socket never
//   - depth, entries, bytes and what is kept for hard links are bounded; what is announced is
//     believed in nothing
// The first error is the end. It writes to disks, and a frame may last as long as they take. One
// thread.
#ifndef BERTH_PROTOCOL_FILES_TREE_WRITER_H_
#define BERTH_PROTOCOL_FILES_TREE_WRITER_H_

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"
#include "protocol/files/checksum.h"
#include "protocol/files/new_entry.h"
#include "protocol/proto/berth.pb.h"
#include "protocol/wire/frame.h"
#include "protocol/wire/limits.h"

namespace berth::files {

struct WriteOptions {
  std::string path;      // where to: a directory that is there, or a new name in one
  std::string name;      // what the source is called in such a directory; empty: it has no name
  bool content = false;  // the source is a directory whose entries go into `path`
  bool into_directory = false;  // `path` must be a directory, or become one
  bool keep_owner = false;
  // Nothing is made: the content of one file is handed to the caller, stream_data() and
  // stream_zeros() after each frame.
  bool stream = false;
  uint64_t max_entries = wire::kMaxCopyEntries;
  uint64_t max_bytes = wire::kMaxCopyBytes;  // of content and holes
};

class TreeWriter {
 public:
  explicit TreeWriter(WriteOptions options) : options_(std::move(options)) {}
  TreeWriter(const TreeWriter&) = delete;
  TreeWriter& operator=(const TreeWriter&) = delete;

  // Errors: EPROTO where the peer broke the protocol, E2BIG a bound of ours, EIO a checksum; else
  // what the file system says.
  Result<> HandleFrame(const wire::FrameView& frame);

  // The sender's CopyDone came and is right. `received` is the answer to it.
  bool done() const { return phase_ == Phase::kDone; }
  const v1::CopyDone& received() const { return received_; }
  const std::string& path() const { return path_; }            // where it is, below the destination
  uint64_t expected_bytes() const { return expected_bytes_; }  // of the current file, if it is so

  std::span<const std::byte> stream_data() const { return stream_data_; }
  uint64_t stream_zeros() const { return stream_zeros_; }

 private:
  enum class Phase { kRoot, kTree, kFile, kComplete, kDone };
  struct Level {
    UniqueFd fd;
    v1::CopyEntry entry;
    bool made = false;  // by this copy
    size_t path_bytes = 0;
  };
  struct Linked {
    std::string path;  // below levels_[0]
    dev_t device = 0;
    ino_t inode = 0;
  };

  Result<> HandleMessage(std::span<const std::byte> payload);
  Result<> TakeEntry(const v1::CopyEntry& entry);
  Result<> TakeData(std::span<const std::byte> data);
  Result<> TakeHole(uint64_t bytes);
  Result<> TakeFileEnd(const v1::CopyFileEnd& end);
  Result<> TakeLeave();
  Result<> TakeDone(const v1::CopyDone& done);

  // Where the first entry goes: leaves root_dir_ and root_name_, or the open directory whose
  // content it is to be.
  Result<UniqueFd> Resolve(const v1::CopyEntry& root);
  Result<> EnterDirectory(int at, const v1::CopyEntry& entry, const std::string& name);
  Result<> TakeLink(int at, const v1::CopyEntry& entry, const std::string& name);
  Result<> Remember(const struct stat& made);
  Result<> Count(uint64_t bytes);
  // The error with the path of the entry it is about.
  std::unexpected<Error> At(Error error) const;

  const WriteOptions options_;
  Phase phase_ = Phase::kRoot;
  UniqueFd root_dir_;
  std::string root_name_;
  std::vector<Level> levels_;
  std::optional<NewFile> new_file_;  // behind root_dir_ and levels_, one of which it is in
  v1::CopyEntry file_;
  std::string file_name_;
  uint64_t offset_ = 0;
  bool hole_at_end_ = false;
  Checksum file_checksum_;
  std::unordered_map<uint64_t, Linked> links_;
  size_t link_bytes_ = 0;
  uint64_t total_ = 0;
  uint64_t expected_bytes_ = 0;
  Checksum checksum_;
  v1::CopyDone received_;
  std::string path_;
  std::span<const std::byte> stream_data_;
  uint64_t stream_zeros_ = 0;
};

}  // namespace berth::files

#endif  // BERTH_PROTOCOL_FILES_TREE_WRITER_H_
