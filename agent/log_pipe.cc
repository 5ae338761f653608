// SPDX-License-Identifier: Apache-2.0
#include "agent/log_pipe.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "agent/log_level.h"

namespace berth::agent {
namespace {

constexpr size_t kSpliceBytes = kMaxLogTextBytes;
static_assert(kMaxLogTextBytes + kSpliceBytes <= LogScratch::kBytes);
// Memory of the spool that may be left to be punched out: a system call each.
constexpr uint64_t kPunchBytes = 256 * 1024;
constexpr uint64_t kPageBytes = 4096;

}  // namespace

Result<std::unique_ptr<LogPipe>> LogPipe::Make(const boost::asio::any_io_executor& executor,
                                               const Options& options, UniqueFd pipe,
                                               UniqueFd spool, LogScratch& scratch,
                                               const LogRing& ring) {
  struct stat info = {};
  if (fstat(spool.get(), &info) != 0) return ErrnoError("log-pipe", "the spool");
  std::unique_ptr<LogPipe> made(
      new LogPipe(executor, options, std::move(pipe), std::move(spool), scratch));
  made->size_ = static_cast<uint64_t>(info.st_size);
  // The spool of another boot's ring would be longer or shorter than the ring says.
  made->position_ = std::min(ring.StateOf(options.number).position, made->size_);
  made->searched_ = made->position_;
  return made;
}

LogPipe::LogPipe(const boost::asio::any_io_executor& executor, const Options& options,
                 UniqueFd pipe, UniqueFd spool, LogScratch& scratch)
    : LogSource(executor, options.number, std::move(pipe)),
      is_stderr_(options.is_stderr),
      blocks_(options.blocks),
      spool_(std::move(spool)),
      scratch_(scratch) {}

LogSource::Took LogPipe::Take(LogRing& ring) {
  // What a block left there comes first.
  bool took = false;
  if (size_ - position_ <= kMaxLogTextBytes) {
    auto at = static_cast<off_t>(size_);
    ssize_t n = 0;
    do {
      n = splice(fd(), nullptr, spool_.get(), &at, kSpliceBytes, SPLICE_F_NONBLOCK);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN) return Took::kFailed;
    took = n > 0;
    if (took) size_ += static_cast<uint64_t>(n);
  }
  if (searched_ == size_) return Took::kNothing;
  const Cut cut = CutLines(ring);
  ring.Commit();
  Punch();
  if (cut == Cut::kFailed) return Took::kFailed;
  if (cut == Cut::kNoRoom) return Took::kNoRoom;
  return took ? Took::kSome : Took::kNothing;
}

LogPipe::Cut LogPipe::CutLines(LogRing& ring) {
  // A program that writes byte by byte must not have its whole line read each time.
  ssize_t n = Read(searched_);
  if (n < 0) return Cut::kFailed;
  if (searched_ > position_) {
    if (size_ - position_ <= kMaxLogTextBytes &&
        std::memchr(scratch_.bytes(), '\n', static_cast<size_t>(n)) == nullptr) {
      searched_ = size_;
      return Cut::kAll;
    }
    n = Read(position_);
    if (n < 0) return Cut::kFailed;
  }
  const LogClock clock = LogClock::Now();
  const char* at = scratch_.bytes();
  const char* const end = at + n;
  while (at < end) {
    const auto left = static_cast<size_t>(end - at);
    const auto* newline =
        static_cast<const char*>(std::memchr(at, '\n', std::min(left, kMaxLogTextBytes + 1)));
    if (newline == nullptr && left <= kMaxLogTextBytes) break;
    const size_t length = newline != nullptr ? static_cast<size_t>(newline - at) : kMaxLogTextBytes;
    const size_t used = newline != nullptr ? length + 1 : length;
    if (!Append(ring, {at, length}, newline == nullptr, position_ + used, clock)) {
      // What was searched is searched again: it has lines.
      searched_ = position_;
      return Cut::kNoRoom;
    }
    at += used;
    position_ += used;
  }
  searched_ = size_;
  return Cut::kAll;
}

void LogPipe::FlushPartial(LogRing& ring) {
  // Whole lines that wait for room are none of this.
  if (searched_ != size_ || position_ == size_) return;
  const ssize_t n = Read(position_);
  if (n <= 0) return;
  if (!Append(ring, {scratch_.bytes(), static_cast<size_t>(n)}, true, size_, LogClock::Now())) {
    return;
  }
  position_ = searched_ = size_;
  ring.Commit();
  Punch();
}

bool LogPipe::Append(LogRing& ring, std::string_view text, bool partial, uint64_t position,
                     const LogClock& clock) const {
  const LogRing::Source& before = ring.StateOf(number());
  uint8_t level = before.level;
  if (!before.partial) level = TakeLevelPrefix(text);
  if (blocks_ && !ring.HasRoom(text.size())) return false;
  const auto flags =
      static_cast<uint8_t>((partial ? LogFlag::kPartial : 0) | (is_stderr_ ? LogFlag::kStderr : 0));
  ring.Append(
      {.source = number(), .level = level, .flags = flags, .position = position, .text = text},
      clock);
  return true;
}

ssize_t LogPipe::Read(uint64_t from) {
  const size_t wanted = size_ - from;
  size_t done = 0;
  while (done < wanted) {
    const ssize_t n = pread(spool_.get(), scratch_.bytes() + done, wanted - done,
                            static_cast<off_t>(from + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return -1;
    done += static_cast<size_t>(n);
  }
  return static_cast<ssize_t>(done);
}

void LogPipe::Punch() {
  if (position_ - punched_ < kPunchBytes) return;
  const uint64_t end = position_ / kPageBytes * kPageBytes;
  if (fallocate(spool_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                static_cast<off_t>(punched_), static_cast<off_t>(end - punched_)) == 0) {
    punched_ = end;
  }
}

}  // namespace berth::agent
