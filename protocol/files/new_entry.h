// SPDX-License-Identifier: Apache-2.0
//
// Entries of a directory that come into being whole: a file, a link, a FIFO is made without its
// name, or under a temporary one beside it, and gets its name when all of it is there. Somebody
// else may change the directory at the same time: nothing here follows a symbolic link, and what is
// set (owner, mode, times) is set on a descriptor, never by a name. One thread.
#ifndef BERTH_PROTOCOL_FILES_NEW_ENTRY_H_
#define BERTH_PROTOCOL_FILES_NEW_ENTRY_H_

#include <string>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"
#include "protocol/proto/berth.pb.h"

namespace berth::files {

// Of an entry: the mode, and with `keep_owner` its owner; without it no set-id bits either, for
// they would lend the rights of another owner. Then its time. `fd` was opened for reading or
// writing.
Result<> SetMetadata(int fd, const v1::CopyEntry& entry, bool keep_owner);

// `path` below the directory `at`, by way of no link and no "..".
Result<UniqueFd> OpenBeneath(int at, const std::string& path, int flags);

class NewFile {
 public:
  // In `directory`, which outlives it. It has no name at all where the file system can do so
  // (O_TMPFILE); then nothing is left of it, whatever ends this process. Else it is called
  // ".berth-cp-" and sixteen digits.
  static Result<NewFile> Create(int directory);
  NewFile(NewFile&& other) noexcept
      : directory_(other.directory_),
        fd_(std::move(other.fd_)),
        temporary_(std::exchange(other.temporary_, {})) {}
  NewFile& operator=(NewFile&&) = delete;
  // Without GiveName nothing remains of it.
  ~NewFile();

  int fd() const { return fd_.get(); }
  // Replaces what has that name, but for a directory, a device or a socket.
  Result<> GiveName(const std::string& name);

 private:
  NewFile(int directory, UniqueFd fd, std::string temporary)
      : directory_(directory), fd_(std::move(fd)), temporary_(std::move(temporary)) {}

  int directory_;
  UniqueFd fd_;
  std::string temporary_;  // empty: it has no name
};

// Each replaces what has that name as a file does.
Result<> MakeSymlink(int directory, const v1::CopyEntry& entry, const std::string& name,
                     bool keep_owner);
Result<> MakeFifo(int directory, const v1::CopyEntry& entry, const std::string& name,
                  bool keep_owner);
// Another name of the file `of`.
Result<> MakeLink(int directory, int of, const std::string& name);

}  // namespace berth::files

#endif  // BERTH_PROTOCOL_FILES_NEW_ENTRY_H_
