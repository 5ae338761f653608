// SPDX-License-Identifier: Apache-2.0
#include "agent/stdin_queue.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "agent/pty.h"

namespace berth::agent {
namespace {

// A credit costs a packet and wakes the host: half a window at a time keeps it sending.
constexpr size_t kCreditBytes = wire::kStdinWindowBytes / 2;

}  // namespace

Result<> StdinQueue::Take(std::span<const std::byte> bytes) {
  if (ended_) return Fail("stdin", EPROTO, "stdin data behind its end");
  if (bytes.size() > window_) return Fail("stdin", EPROTO, "stdin data beyond its window");
  window_ -= bytes.size();
  if (!open_) return {};  // dropped, and not granted anew: the host was told
  size_t written = 0;
  if (chunks_.empty() && !pipe_full_) written = WriteSome(bytes);
  if (open_) Queue(bytes.subspan(written));
  return {};
}

void StdinQueue::Queue(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (chunks_.empty() || chunks_.back().end == BufferPool::kBufferBytes) {
      chunks_.push_back({.buffer = pool_.Take()});
    }
    Chunk& last = chunks_.back();
    const size_t taken = std::min(bytes.size(), BufferPool::kBufferBytes - last.end);
    std::ranges::copy(bytes.first(taken), last.buffer.bytes().subspan(last.end).begin());
    last.end += taken;
    bytes = bytes.subspan(taken);
  }
}

Result<> StdinQueue::TakeEnd() {
  if (ended_) return Fail("stdin", EPROTO, "a second end of stdin");
  ended_ = true;
  if (tty_ && open_ && chunks_.empty()) SendTerminalEnd();
  return {};
}

void StdinQueue::Feed() {
  pipe_full_ = false;
  while (open_ && !pipe_full_ && !chunks_.empty()) {
    Chunk& first = chunks_.front();
    first.begin += WriteSome(first.buffer.bytes().subspan(first.begin, first.end - first.begin));
    if (first.begin == first.end) chunks_.erase(chunks_.begin());
  }
  if (!open_) chunks_.clear();
  if (tty_ && ended_ && open_ && chunks_.empty()) SendTerminalEnd();
}

size_t StdinQueue::WriteSome(std::span<const std::byte> bytes) {
  size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t n = write(fd_, bytes.data() + written, bytes.size() - written);
    if (n > 0) {
      written += static_cast<size_t>(n);
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else if (n < 0 && errno == EAGAIN) {
      pipe_full_ = true;
      break;
    } else {
      // EPIPE, or EIO of a terminal that nobody has open.
      open_ = false;
      closed_by_program_ = !ended_;
      break;
    }
  }
  if (written > 0) line_begins_ = bytes[written - 1] == std::byte{'\n'};
  taken_ += written;
  return written;
}

// A terminal has no half-close: its end-of-file character stands for it, twice where a line has
// begun (the first one only hands the unfinished line over).
void StdinQueue::SendTerminalEnd() {
  const char character = EndOfFileCharacter(fd_);
  if (character == '\0') return;
  const char twice[] = {character, character};
  [[maybe_unused]] const ssize_t n = write(fd_, twice, line_begins_ ? 1 : 2);
}

size_t StdinQueue::TakeCredit() {
  if (taken_ < kCreditBytes || ended_ || !open_) return 0;
  window_ += taken_;
  return std::exchange(taken_, 0);
}

size_t StdinQueue::Regrant() {
  window_ += std::exchange(taken_, 0);
  return window_;
}

}  // namespace berth::agent
