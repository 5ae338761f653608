// SPDX-License-Identifier: Apache-2.0
#include "protocol/files/tree_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include "protocol/files/entry.h"
#include "protocol/files/outgoing.h"
#include "protocol/wire/channel.h"

namespace berth::files {
namespace {

std::unexpected<Error> BrokeProtocol(const char* what) { return Fail("copy", EPROTO, what); }

Result<UniqueFd> OpenNamedDirectory(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) {
    return ErrnoError("destination", Shown(path),
                      errno == ENOENT ? "make that directory first" : "");
  }
  return fd;
}

Result<> WriteAll(int fd, std::span<const std::byte> data, uint64_t offset) {
  while (!data.empty()) {
    const ssize_t n = pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("write");
    offset += static_cast<uint64_t>(n);
    data = data.subspan(static_cast<size_t>(n));
  }
  return {};
}

}  // namespace

std::unexpected<Error> TreeWriter::At(Error error) const {
  if (error.detail.empty()) error.detail = path_.empty() ? Shown(options_.path) : Shown(path_);
  return std::unexpected(std::move(error));
}

Result<> TreeWriter::HandleFrame(const wire::FrameView& frame) {
  stream_data_ = {};
  stream_zeros_ = 0;
  if (frame.kind == wire::FrameKind::kData && frame.stream == Outgoing::kStream) {
    return TakeData(frame.payload);
  }
  if (frame.kind != wire::FrameKind::kMessage) {
    return BrokeProtocol("an end, or data of a stream that no copy has");
  }
  return HandleMessage(frame.payload);
}

Result<> TreeWriter::HandleMessage(std::span<const std::byte> payload) {
  BERTH_ASSIGN(const v1::Envelope message, wire::DecodeMessage(payload));
  if (phase_ == Phase::kDone) return BrokeProtocol("a message behind CopyDone");
  if (message.has_copy_done()) return TakeDone(message.copy_done());
  checksum_.Add(payload);
  switch (message.body_case()) {
    case v1::Envelope::kCopyEntry:
      return TakeEntry(message.copy_entry());
    case v1::Envelope::kCopyHole:
      return TakeHole(message.copy_hole().bytes());
    case v1::Envelope::kCopyFileEnd:
      return TakeFileEnd(message.copy_file_end());
    case v1::Envelope::kCopyLeave:
      return TakeLeave();
    default:
      return BrokeProtocol("a message that has no place in a copy");
  }
}

Result<UniqueFd> TreeWriter::Resolve(const v1::CopyEntry& root) {
  const bool directory = root.kind() == v1::CopyEntry::DIRECTORY;
  const SplitPath split = Split(options_.path);
  if (options_.content && !directory) {
    return Fail("copy", ENOTDIR, "the source is no directory that has content");
  }
  struct stat status{};
  const bool there = stat(options_.path.c_str(), &status) == 0;
  if (!there && errno != ENOENT) return ErrnoError("destination", Shown(options_.path));
  if (there && S_ISDIR(status.st_mode)) {
    if (options_.content) return OpenNamedDirectory(options_.path);
    if (!IsEntryName(options_.name)) {
      return Fail("destination", EISDIR,
                  Shown(options_.path) + " is a directory, and the source has no name of its own",
                  "name the new file in it");
    }
    BERTH_ASSIGN(root_dir_, OpenNamedDirectory(options_.path));
    root_name_ = options_.name;
    return UniqueFd();
  }
  if (there && (directory || options_.into_directory || split.trailing_slash)) {
    return Fail("destination", ENOTDIR, Shown(options_.path) + " is there and is no directory");
  }
  if (!there && !directory && (options_.into_directory || split.trailing_slash)) {
    return Fail("destination", ENOENT, Shown(options_.path), "make that directory first");
  }
  if (!IsEntryName(split.name)) {
    return Fail("destination", EINVAL, Shown(options_.path) + " names nothing that can be made");
  }
  BERTH_ASSIGN(root_dir_, OpenNamedDirectory(split.directory));
  root_name_ = split.name;
  return UniqueFd();
}

Result<> TreeWriter::TakeEntry(const v1::CopyEntry& entry) {
  const bool first = phase_ == Phase::kRoot;
  if (!first && phase_ != Phase::kTree) return BrokeProtocol("an entry that is in no directory");
  BERTH_TRY(CheckCopyEntry(entry, first));
  if (received_.entries() >= options_.max_entries) {
    return Fail("copy", E2BIG,
                "more than " + std::to_string(options_.max_entries) + " files and directories",
                "--max-entries allows more");
  }
  received_.set_entries(received_.entries() + 1);
  if (options_.stream) {
    if (entry.kind() != v1::CopyEntry::FILE) {
      return Fail("copy", EISDIR, "only a regular file can be written to standard output");
    }
  } else if (first) {
    BERTH_ASSIGN(UniqueFd existing, Resolve(entry));
    if (existing) {
      levels_.push_back({std::move(existing), entry, false, 0});
      phase_ = Phase::kTree;
      return {};
    }
  } else {
    path_.resize(levels_.back().path_bytes);
    if (!path_.empty()) path_ += '/';
    path_ += entry.name();
  }
  const int at = first ? root_dir_.get() : levels_.back().fd.get();
  const std::string& name = first ? root_name_ : entry.name();
  Result<> taken;
  switch (entry.kind()) {
    case v1::CopyEntry::DIRECTORY:
      taken = EnterDirectory(at, entry, name);
      break;
    case v1::CopyEntry::FILE:
      if (!options_.stream) {
        auto made = NewFile::Create(at);
        if (!made) return At(std::move(made.error()));
        new_file_.emplace(std::move(*made));
      }
      file_ = entry;
      file_name_ = name;
      offset_ = 0;
      hole_at_end_ = false;
      file_checksum_ = Checksum();
      expected_bytes_ = entry.size();
      phase_ = Phase::kFile;
      return {};
    case v1::CopyEntry::SYMLINK:
      taken = MakeSymlink(at, entry, name, options_.keep_owner);
      break;
    case v1::CopyEntry::FIFO:
      taken = MakeFifo(at, entry, name, options_.keep_owner);
      break;
    default:
      taken = TakeLink(at, entry, name);
  }
  if (!taken) return At(std::move(taken.error()));
  if (first && entry.kind() != v1::CopyEntry::DIRECTORY) phase_ = Phase::kComplete;
  return {};
}

Result<> TreeWriter::EnterDirectory(int at, const v1::CopyEntry& entry, const std::string& name) {
  if (levels_.size() >= wire::kMaxCopyDepth) {
    return Fail("copy", E2BIG,
                "more than " + std::to_string(wire::kMaxCopyDepth) + " directories in each other");
  }
  // Nobody else's until all of it is there; its own mode comes with its CopyLeave.
  const bool made = mkdirat(at, name.c_str(), S_IRWXU) == 0;
  if (!made && errno != EEXIST) return ErrnoError("mkdir");
  auto opened = OpenBeneath(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!opened) {
    if (opened.error().errnum == ELOOP || opened.error().errnum == ENOTDIR) {
      return Fail("mkdir", ENOTDIR,
                  Shown(path_.empty() ? name : path_) +
                      " is there already and is no directory, or a symbolic link to one");
    }
    return std::unexpected(opened.error());
  }
  levels_.push_back({std::move(*opened), entry, made, path_.size()});
  phase_ = Phase::kTree;
  return {};
}

Result<> TreeWriter::TakeLink(int at, const v1::CopyEntry& entry, const std::string& name) {
  const auto of = links_.find(entry.link());
  if (of == links_.end()) return BrokeProtocol("a link to a file that was not sent");
  BERTH_ASSIGN(const UniqueFd fd,
               OpenBeneath(levels_.front().fd.get(), of->second.path, O_PATH | O_NOFOLLOW));
  struct stat now{};
  if (fstat(fd.get(), &now) != 0) return ErrnoError("link");
  // Another file by now, maybe one that this copy's destination should not have.
  if (now.st_dev != of->second.device || now.st_ino != of->second.inode) {
    return Fail("link", ESTALE, Shown(of->second.path) + " was replaced while the copy ran");
  }
  return MakeLink(at, fd.get(), name);
}

Result<> TreeWriter::Count(uint64_t bytes) {
  if (bytes > options_.max_bytes - total_) {
    return Fail("copy", E2BIG,
                "more than " + std::to_string(options_.max_bytes) + " bytes of content",
                "--max-size allows more");
  }
  total_ += bytes;
  return {};
}

Result<> TreeWriter::TakeData(std::span<const std::byte> data) {
  if (phase_ != Phase::kFile) return BrokeProtocol("data that belong to no file");
  BERTH_TRY(Count(data.size()));
  file_checksum_.Add(data);
  if (options_.stream) {
    stream_data_ = data;
  } else if (auto written = WriteAll(new_file_->fd(), data, offset_); !written) {
    return At(std::move(written.error()));
  }
  offset_ += data.size();
  hole_at_end_ = false;
  received_.set_bytes(received_.bytes() + data.size());
  return {};
}

Result<> TreeWriter::TakeHole(uint64_t bytes) {
  if (phase_ != Phase::kFile) return BrokeProtocol("a hole that belongs to no file");
  // Nothing would bound how many of them come.
  if (bytes == 0) return BrokeProtocol("a hole of no bytes");
  BERTH_TRY(Count(bytes));
  file_checksum_.Add(bytes);
  if (options_.stream) stream_zeros_ = bytes;
  offset_ += bytes;
  hole_at_end_ = true;
  return {};
}

Result<> TreeWriter::TakeFileEnd(const v1::CopyFileEnd& end) {
  if (phase_ != Phase::kFile) return BrokeProtocol("the end of a file that was not begun");
  if (end.dropped()) {
    new_file_.reset();
    if (options_.stream || levels_.empty()) {
      return Fail("copy", EIO, "the source could not be read to its end");
    }
    phase_ = Phase::kTree;
    return {};
  }
  if (end.size() != offset_) return BrokeProtocol("a file of another size than was sent");
  if (end.checksum() != file_checksum_.Value()) {
    return Fail("checksum", EIO,
                Shown(path_.empty() ? file_name_ : path_) + " did not arrive as it was sent",
                "copy it again; if that does not help, see berth doctor");
  }
  phase_ = levels_.empty() ? Phase::kComplete : Phase::kTree;
  if (options_.stream) {
    phase_ = Phase::kComplete;
    return {};
  }
  const int fd = new_file_->fd();
  if (hole_at_end_ && ftruncate(fd, static_cast<off_t>(offset_)) != 0) {
    return At(ErrnoError("write").error());
  }
  if (auto set = SetMetadata(fd, file_, options_.keep_owner); !set)
    return At(std::move(set.error()));
  struct stat made{};
  if (fstat(fd, &made) != 0) return At(ErrnoError("create").error());
  if (auto named = new_file_->GiveName(file_name_); !named) return At(std::move(named.error()));
  new_file_.reset();
  return Remember(made);
}

Result<> TreeWriter::Remember(const struct stat& made) {
  if (file_.link() == 0 || levels_.empty()) return {};
  if (links_.size() >= wire::kMaxCopyLinks || path_.size() > wire::kMaxPathBytes ||
      path_.size() > wire::kMaxCopyLinkBytes - link_bytes_) {
    return Fail("copy", E2BIG, "too many hard links, or with paths too long");
  }
  link_bytes_ += path_.size();
  if (!links_.emplace(file_.link(), Linked{path_, made.st_dev, made.st_ino}).second) {
    return BrokeProtocol("two files of one link number");
  }
  return {};
}

Result<> TreeWriter::TakeLeave() {
  if (phase_ != Phase::kTree || levels_.empty()) {
    return BrokeProtocol("the end of a directory that was not entered");
  }
  path_.resize(levels_.back().path_bytes);
  const Level& level = levels_.back();
  // One that was there keeps what it has, but where a copy is to be like its source in all.
  if (level.made || options_.keep_owner) {
    auto set = SetMetadata(level.fd.get(), level.entry, options_.keep_owner);
    if (!set) return At(std::move(set.error()));
  }
  levels_.pop_back();
  if (levels_.empty()) phase_ = Phase::kComplete;
  return {};
}

Result<> TreeWriter::TakeDone(const v1::CopyDone& done) {
  if (phase_ != Phase::kComplete) return BrokeProtocol("CopyDone before all was sent");
  received_.set_checksum(checksum_.Value());
  received_.set_left_out(done.left_out());
  if (done.entries() != received_.entries() || done.bytes() != received_.bytes() ||
      done.checksum() != received_.checksum()) {
    return Fail("checksum", EIO, "what arrived is not what was sent",
                "copy it again; if that does not help, see berth doctor");
  }
  phase_ = Phase::kDone;
  return {};
}

}  // namespace berth::files
