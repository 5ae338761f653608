// SPDX-License-Identifier: Apache-2.0
#include "protocol/files/tree_reader.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "protocol/base/text.h"
#include "protocol/files/entry.h"
#include "protocol/wire/limits.h"

namespace berth::files {
namespace {

// Entries and pieces of one turn, so that a directory of small files leaves others their turn too.
constexpr int kStepsPerTurn = 64;
constexpr size_t kMaxNotedPathBytes = 4096;

// What says nothing of the one entry: with it the copy ends.
bool EndsTheCopy(int errnum) {
  return errnum == EMFILE || errnum == ENFILE || errnum == ENOMEM || errnum == ENOBUFS;
}

}  // namespace

Result<TreeReader> TreeReader::Open(const std::string& path, bool follow) {
  struct stat status{};
  if (fstatat(AT_FDCWD, path.c_str(), &status, follow ? 0 : AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoError("source", Shown(path));
  }
  TreeReader reader;
  reader.root_ = path;
  reader.follow_ = follow;
  return reader;
}

TreeReader TreeReader::OfStream(int fd) {
  TreeReader reader;
  reader.stream_root_ = true;
  reader.file_.emplace();
  reader.file_->fd = fd;
  reader.file_->stream = true;
  return reader;
}

Result<bool> TreeReader::Fill(Outgoing& out) {
  for (int steps = 0; steps < kStepsPerTurn && out.Roomy() && !finished_; ++steps) {
    BERTH_TRY(Step(out));
    // The next step would read from it.
    if (file_ && file_->stream) break;
  }
  return !finished_;
}

Result<> TreeReader::Step(Outgoing& out) {
  if (!std::exchange(started_, true)) {
    if (!stream_root_) return SendEntry(out, AT_FDCWD, root_.c_str(), true);
    v1::Envelope message;
    message.mutable_copy_entry()->set_kind(v1::CopyEntry::FILE);
    message.mutable_copy_entry()->set_mode(0644);
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    message.mutable_copy_entry()->set_mtime_s(now.tv_sec);
    message.mutable_copy_entry()->set_mtime_ns(static_cast<uint32_t>(now.tv_nsec));
    return Send(out, message);
  }
  if (file_) return SendContent(out);
  if (levels_.empty()) {
    v1::Envelope message;
    done_.set_checksum(checksum_.Value());
    *message.mutable_copy_done() = done_;
    BERTH_TRY(out.Push(message));
    finished_ = true;
    return {};
  }
  Level& level = levels_.back();
  path_.resize(level.path_bytes);
  errno = 0;
  const dirent* const found = readdir(level.dir.get());
  if (found == nullptr) {
    if (errno != 0) LeaveOut(errno, "the rest of this directory cannot be read");
    return Leave(out);
  }
  const std::string_view name = found->d_name;
  if (name == "." || name == "..") return {};
  if (!path_.empty()) path_ += '/';
  path_ += name;
  if (!IsEntryName(name)) {
    LeaveOut(ENAMETOOLONG, "a name that is too long");
    return {};
  }
  return SendEntry(out, dirfd(level.dir.get()), found->d_name, false);
}

Result<> TreeReader::Send(Outgoing& out, const v1::Envelope& message) {
  BERTH_ASSIGN(const auto payload, out.Push(message));
  checksum_.Add(payload);
  if (message.has_copy_entry()) done_.set_entries(done_.entries() + 1);
  return {};
}

Result<> TreeReader::SendEntry(Outgoing& out, int at, const char* name, bool root) {
  const bool follow = root && follow_;
  // The root is what was asked for: without it there is no copy.
  const auto lost = [&](int errnum, const char* what) -> Result<> {
    if (root) return Fail("source", errnum, Shown(root_) + (*what != 0 ? ": " : "") + what);
    if (EndsTheCopy(errnum)) return Fail("source", errnum, Shown(path_));
    LeaveOut(errnum, what);
    return {};
  };
  struct stat status{};
  if (fstatat(at, name, &status, follow ? 0 : AT_SYMLINK_NOFOLLOW) != 0) return lost(errno, "");
  v1::Envelope message;
  v1::CopyEntry& entry = *message.mutable_copy_entry() = EntryOf(status);
  if (!root) entry.set_name(name);
  const int nofollow = follow ? 0 : O_NOFOLLOW;
  switch (entry.kind()) {
    case v1::CopyEntry::FILE: {
      // Non-blocking: what was a file a moment ago may be a FIFO now.
      UniqueFd fd(openat(at, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | nofollow));
      if (!fd || fstat(fd.get(), &status) != 0) return lost(errno, "");
      if (!S_ISREG(status.st_mode)) return lost(ESTALE, "it became something else");
      return SendFile(out, message, std::move(fd), status);
    }
    case v1::CopyEntry::DIRECTORY: {
      if (levels_.size() >= wire::kMaxCopyDepth) {
        return lost(ENAMETOOLONG, "its directories are nested too deeply");
      }
      UniqueFd fd(openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | nofollow));
      if (!fd || fstat(fd.get(), &status) != 0) return lost(errno, "");
      Level level;
      level.dir.reset(fdopendir(fd.get()));
      if (!level.dir) return lost(errno, "");
      [[maybe_unused]] const int taken = fd.Release();
      level.path_bytes = path_.size();
      levels_.push_back(std::move(level));
      entry = EntryOf(status);
      if (!root) entry.set_name(name);
      return Send(out, message);
    }
    case v1::CopyEntry::SYMLINK: {
      std::array<char, PATH_MAX> target{};
      const ssize_t n = readlinkat(at, name, target.data(), target.size());
      if (n < 0) return lost(errno, "");
      if (n == 0 || static_cast<size_t>(n) > wire::kMaxCopyTargetBytes) {
        return lost(ENAMETOOLONG, "where it leads to is too long");
      }
      entry.set_target(target.data(), static_cast<size_t>(n));
      return Send(out, message);
    }
    case v1::CopyEntry::FIFO:
      return Send(out, message);
    default:
      return lost(EOPNOTSUPP, S_ISSOCK(status.st_mode) ? "a socket" : "a device");
  }
}

std::pair<uint64_t, bool> TreeReader::LinkOf(const struct stat& status) {
  if (status.st_nlink < 2 || levels_.empty()) return {0, false};
  const Identity id{status.st_dev, status.st_ino};
  if (const auto known = links_.find(id); known != links_.end()) return {known->second, true};
  // Beyond its bounds a file is copied once for each of its names.
  if (links_.size() >= wire::kMaxCopyLinks || path_.size() > wire::kMaxPathBytes) return {0, false};
  links_.emplace(id, ++last_link_);
  return {last_link_, false};
}

Result<> TreeReader::SendFile(Outgoing& out, v1::Envelope& message, UniqueFd fd,
                              const struct stat& status) {
  v1::CopyEntry& entry = *message.mutable_copy_entry();
  const std::string name = entry.name();
  entry = EntryOf(status);
  entry.set_name(name);
  const auto [link, known] = LinkOf(status);
  entry.set_link(link);
  if (known) {
    entry.set_kind(v1::CopyEntry::LINK);
    return Send(out, message);
  }
  OpenFile file;
  file.fd = fd.get();
  file.owned = std::move(fd);
  file.size = static_cast<uint64_t>(status.st_size);
  file.sparse = static_cast<uint64_t>(status.st_blocks) * 512 < file.size;
  file.data_end = file.sparse ? 0 : file.size;
  file.mtime = status.st_mtim;
  if (link != 0) file.link = Identity{status.st_dev, status.st_ino};
  BERTH_TRY(Send(out, message));
  file_ = std::move(file);
  return {};
}

Result<bool> TreeReader::SendHole(Outgoing& out) {
  OpenFile& file = *file_;
  const auto at = static_cast<off_t>(file.offset);
  const off_t data = lseek(file.fd, at, SEEK_DATA);
  if (data < 0 && errno != ENXIO) {
    // This file system does not say where its holes are.
    file.sparse = false;
    file.data_end = file.size;
    return false;
  }
  // ENXIO: there are none up to the end.
  const uint64_t begin = data < 0 ? file.size : std::min(static_cast<uint64_t>(data), file.size);
  if (begin > file.offset) {
    v1::Envelope message;
    message.mutable_copy_hole()->set_bytes(begin - file.offset);
    file.checksum.Add(begin - file.offset);
    file.offset = begin;
    BERTH_TRY(Send(out, message));
    return true;
  }
  const off_t hole = lseek(file.fd, at, SEEK_HOLE);
  file.data_end = hole > at ? std::min(static_cast<uint64_t>(hole), file.size) : file.size;
  return false;
}

Result<> TreeReader::SendContent(Outgoing& out) {
  OpenFile& file = *file_;
  if (file.size > 0 && file.offset >= file.size) return EndFile(out, std::nullopt);
  if (file.sparse && file.offset >= file.data_end) {
    BERTH_ASSIGN(const bool sent, SendHole(out));
    if (sent) return {};
  }
  std::span<std::byte> room = out.DataRoom();
  if (file.size > 0) {
    room = room.first(
        static_cast<size_t>(std::min<uint64_t>(room.size(), file.data_end - file.offset)));
  }
  const ssize_t n = file.stream
                        ? read(file.fd, room.data(), room.size())
                        : pread(file.fd, room.data(), room.size(), static_cast<off_t>(file.offset));
  if (n < 0 && (errno == EINTR || (errno == EAGAIN && file.stream))) return {};
  if (n < 0 && file.stream) return ErrnoError("source", "standard input");
  if (n < 0) return EndFile(out, Note{path_, errno, "it could not be read to its end", false});
  if (n == 0) {
    // A file of sysfs claims a page and has less. One that was cut is neither the old nor the new.
    struct stat now{};
    if (file.size > 0 &&
        (fstat(file.fd, &now) != 0 || static_cast<uint64_t>(now.st_size) < file.size)) {
      return EndFile(out, Note{path_, ESTALE, "it was cut while it was read", false});
    }
    return EndFile(out, std::nullopt);
  }
  const auto bytes = static_cast<size_t>(n);
  file.checksum.Add(room.first(bytes));
  file.offset += bytes;
  done_.set_bytes(done_.bytes() + bytes);
  out.PushData(bytes);
  return {};
}

Result<> TreeReader::EndFile(Outgoing& out, std::optional<Note> dropped) {
  OpenFile& file = *file_;
  v1::Envelope message;
  v1::CopyFileEnd& end = *message.mutable_copy_file_end();
  end.set_size(file.offset);
  end.set_checksum(file.checksum.Value());
  end.set_dropped(dropped.has_value());
  struct stat now{};
  if (dropped) {
    if (levels_.empty())
      return Fail("source", dropped->errnum, Shown(root_) + ": " + dropped->detail);
    // Its other names are the first ones then.
    if (file.link) links_.erase(*file.link);
    LeaveOut(dropped->errnum, dropped->detail);
  } else if (file.size > 0 && fstat(file.fd, &now) == 0 &&
             (now.st_mtim.tv_sec != file.mtime.tv_sec ||
              now.st_mtim.tv_nsec != file.mtime.tv_nsec)) {
    Add({path_, 0, "it changed while it was read", true});
  }
  file_.reset();
  return Send(out, message);
}

Result<> TreeReader::Leave(Outgoing& out) {
  levels_.pop_back();
  v1::Envelope message;
  message.mutable_copy_leave();
  return Send(out, message);
}

void TreeReader::LeaveOut(int errnum, std::string detail) {
  done_.set_left_out(done_.left_out() + 1);
  Add({path_, errnum, std::move(detail), false});
}

void TreeReader::Add(Note note) {
  if (noted_ >= wire::kMaxCopyNotes) return;
  ++noted_;
  if (note.path.size() > kMaxNotedPathBytes) note.path.resize(kMaxNotedPathBytes);
  notes_.push_back(std::move(note));
}

}  // namespace berth::files
