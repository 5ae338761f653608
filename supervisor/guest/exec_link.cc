// SPDX-License-Identifier: Apache-2.0
#include "supervisor/guest/exec_link.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "protocol/wire/channel.h"

namespace berth::guest {

std::span<std::byte> ExecLink::StdinRoom() {
  // One frame at a time: stdin that the guest does not take stays where it came from.
  if (peer_closed_ || window_ == 0 || !empty()) return {};
  if (frame_.empty()) frame_.resize(wire::kFrameHeaderBytes + kMaxStdinPayload);
  return std::span(frame_).subspan(wire::kFrameHeaderBytes, std::min(window_, kMaxStdinPayload));
}

void ExecLink::PushStdin(size_t bytes) {
  const wire::HeaderBytes header = wire::EncodeHeader(
      {wire::FrameKind::kData, wire::Stream::kStdin, static_cast<uint32_t>(bytes)});
  std::ranges::copy(header, frame_.begin());
  frame_begin_ = 0;
  frame_end_ = wire::kFrameHeaderBytes + bytes;
  window_ -= bytes;
}

void ExecLink::PushStdinEnd() {
  const wire::HeaderBytes header =
      wire::EncodeHeader({wire::FrameKind::kEnd, wire::Stream::kStdin, 0});
  messages_.append(reinterpret_cast<const char*>(header.data()), header.size());
}

void ExecLink::Push(const v1::Envelope& message) {
  if (peer_closed_ || messages_.size() > kMaxMessageBytes) return;
  if (const auto bytes = wire::EncodeMessage(message)) messages_ += *bytes;
}

Result<> ExecLink::SetWindow(size_t bytes) {
  if (bytes > wire::kStdinWindowBytes) {
    return Fail("session", EPROTO, "the guest names a window that is none");
  }
  window_ = bytes;
  return {};
}

Result<> ExecLink::Grant(size_t bytes) {
  if (bytes > wire::kStdinWindowBytes - window_) {
    return Fail("session", EPROTO, "the guest granted more stdin than it took");
  }
  window_ += bytes;
  return {};
}

Result<> ExecLink::Flush() {
  while (!peer_closed_ && !empty()) {
    const bool frame_first = frame_begin_ != frame_end_ && !inside_message_;
    const void* from = frame_first ? static_cast<const void*>(frame_.data() + frame_begin_)
                                   : static_cast<const void*>(messages_.data());
    const size_t length = frame_first ? frame_end_ - frame_begin_ : messages_.size();
    const ssize_t n = send(socket_, from, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return {};
    if (n < 0 && errno != EPIPE && errno != ECONNRESET) return ErrnoError("session");
    if (n < 0) {
      peer_closed_ = true;
      frame_begin_ = frame_end_ = 0;
      messages_.clear();
    } else if (frame_first) {
      frame_begin_ += static_cast<size_t>(n);
    } else {
      inside_message_ = static_cast<size_t>(n) < length;
      messages_.erase(0, static_cast<size_t>(n));
    }
  }
  return {};
}

}  // namespace berth::guest
