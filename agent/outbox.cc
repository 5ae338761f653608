// SPDX-License-Identifier: Apache-2.0
#include "agent/outbox.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

#include "protocol/wire/channel.h"

namespace berth::agent {

void Outbox::Reset(int socket) {
  socket_ = socket;
  before_.clear();
  data_.Reset();
  data_begin_ = data_end_ = 0;
  behind_.clear();
}

void Outbox::Push(std::string_view frames) { (data_ ? behind_ : before_).append(frames); }

void Outbox::Push(const v1::Envelope& message) {
  // What the agent sends is bounded far below the limit of a message.
  if (const auto bytes = wire::EncodeMessage(message)) Push(*bytes);
}

void Outbox::PushEnd(wire::Stream stream) {
  const wire::HeaderBytes header = wire::EncodeHeader({wire::FrameKind::kEnd, stream, 0});
  Push(std::string_view(reinterpret_cast<const char*>(header.data()), header.size()));
}

void Outbox::PushData(wire::Stream stream, BufferPool::Buffer buffer, size_t payload_bytes) {
  const wire::HeaderBytes header =
      wire::EncodeHeader({wire::FrameKind::kData, stream, static_cast<uint32_t>(payload_bytes)});
  std::ranges::copy(header, buffer.bytes().begin());
  data_ = std::move(buffer);
  data_begin_ = 0;
  data_end_ = wire::kFrameHeaderBytes + payload_bytes;
}

Result<> Outbox::Flush() {
  while (!empty()) {
    iovec parts[3];
    size_t count = 0;
    if (!before_.empty()) parts[count++] = {before_.data(), before_.size()};
    if (data_) {
      parts[count++] = {data_.bytes().data() + data_begin_, data_end_ - data_begin_};
    }
    if (!behind_.empty()) parts[count++] = {behind_.data(), behind_.size()};
    msghdr message = {};
    message.msg_iov = parts;
    message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(count);
    const ssize_t n = sendmsg(socket_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) {
      Drop(static_cast<size_t>(n));
    } else if (errno == EAGAIN) {
      return {};
    } else if (errno != EINTR) {
      return ErrnoError("write-frame");
    }
  }
  return {};
}

void Outbox::Drop(size_t sent) {
  const size_t from_before = std::min(sent, before_.size());
  before_.erase(0, from_before);
  sent -= from_before;
  if (data_) {
    const size_t from_data = std::min(sent, data_end_ - data_begin_);
    data_begin_ += from_data;
    sent -= from_data;
    if (data_begin_ == data_end_) {
      data_.Reset();
      behind_.erase(0, sent);
      before_ = std::move(behind_);
      behind_.clear();
    }
  }
}

}  // namespace berth::agent
