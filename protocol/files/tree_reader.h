// SPDX-License-Identifier: Apache-2.0
//
// TreeReader: the sending end of a copy. It walks a file or a tree and makes frames of it, one
// bounded turn at a time, without sockets: whoever owns it sends what Fill leaves.
//
//   CopyEntry (directory)  { entries of it … }  CopyLeave
//   CopyEntry (file)       { data | CopyHole … }  CopyFileEnd
//   CopyEntry (symlink, FIFO, further name of a file)
//   …
//   CopyDone
//
// No symbolic link is followed but, where that is asked for, the source itself. What cannot be
// read is left out and noted, the rest goes on. It opens nothing that can make it wait: no FIFO, no
// device; it does read from disks, and a turn may last as long as they take. One thread.
#ifndef BERTH_PROTOCOL_FILES_TREE_READER_H_
#define BERTH_PROTOCOL_FILES_TREE_READER_H_

#include <dirent.h>
#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"
#include "protocol/files/checksum.h"
#include "protocol/files/outgoing.h"
#include "protocol/proto/berth.pb.h"

namespace berth::files {

struct Note {
  std::string path;  // below the source, empty: the source itself
  int errnum = 0;
  std::string detail;
  bool harmless = false;  // nothing is missing
};

class TreeReader {
 public:
  // `follow`: where `path` is a symbolic link, what it leads to. An error where the source cannot
  // be opened at all.
  static Result<TreeReader> Open(const std::string& path, bool follow);
  // One file whose content is what can be read from `fd` (a pipe, a terminal, a file), which stays
  // the caller's.
  static TreeReader OfStream(int fd);

  TreeReader(TreeReader&&) = default;
  TreeReader& operator=(TreeReader&&) = default;

  // Adds frames until `out` has no room, or enough has been done for one turn. False: the last of
  // them is CopyDone. Of a stream it reads once: the caller polls.
  Result<bool> Fill(Outgoing& out);

  // What was left out since the last call, or is to be known. After wire::kMaxCopyNotes of a copy
  // there are no more, left_out counts on.
  std::vector<Note> TakeNotes() { return std::exchange(notes_, {}); }

  const v1::CopyDone& done() const { return done_; }  // so far; its checksum only at the end
  const std::string& path() const { return path_; }   // where it is, below the source

 private:
  struct CloseDir {
    void operator()(DIR* dir) const { closedir(dir); }
  };
  struct Level {
    std::unique_ptr<DIR, CloseDir> dir;
    size_t path_bytes = 0;  // of path_, with this directory's name
  };
  struct Identity {
    dev_t device;
    ino_t inode;
    bool operator==(const Identity&) const = default;
  };
  struct HashIdentity {
    size_t operator()(const Identity& id) const {
      return static_cast<size_t>(id.inode * 0x9E3779B185EBCA87U ^ id.device);
    }
  };

  struct OpenFile {
    // Spelled out: clang takes a nested class with initializers for not constructible in optional.
    OpenFile() noexcept {}
    int fd = -1;
    UniqueFd owned;         // fd, but for a stream
    uint64_t size = 0;      // when it was opened; 0 also where it has none, as in /proc
    uint64_t offset = 0;    // data and holes so far
    uint64_t data_end = 0;  // of the piece of data at `offset`; as `size` where it has no holes
    bool sparse = false;
    bool stream = false;
    std::optional<Identity> link;  // it was promised for further names
    timespec mtime{};
    Checksum checksum;
  };
  TreeReader() = default;

  Result<> Step(Outgoing& out);
  Result<> Send(Outgoing& out, const v1::Envelope& message);
  // The entry `name` of the directory `at`; the root has no name, and `name` is its path.
  Result<> SendEntry(Outgoing& out, int at, const char* name, bool root);
  Result<> SendFile(Outgoing& out, v1::Envelope& message, UniqueFd fd, const struct stat& status);
  Result<> SendContent(Outgoing& out);
  Result<> EndFile(Outgoing& out, std::optional<Note> dropped);
  Result<> Leave(Outgoing& out);
  // Finds where data are at the file's offset. True: it sent a hole instead.
  Result<bool> SendHole(Outgoing& out);
  // The number of a file that has several names, and whether it was sent before; 0: it has one.
  std::pair<uint64_t, bool> LinkOf(const struct stat& status);
  void LeaveOut(int errnum, std::string detail);
  void Add(Note note);

  std::string root_;
  bool follow_ = false;
  bool stream_root_ = false;
  bool started_ = false;
  bool finished_ = false;
  std::string path_;
  std::vector<Level> levels_;
  std::optional<OpenFile> file_;
  std::unordered_map<Identity, uint64_t, HashIdentity> links_;
  uint64_t last_link_ = 0;
  Checksum checksum_;
  v1::CopyDone done_;
  std::vector<Note> notes_;
  uint64_t noted_ = 0;
};

}  // namespace berth::files

#endif  // BERTH_PROTOCOL_FILES_TREE_READER_H_
