// SPDX-License-Identifier: Apache-2.0
#include "protocol/wire/channel.h"

#include <google/protobuf/io/coded_stream.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace berth::wire {

namespace asio = boost::asio;

Result<Socket> AdoptSocket(const asio::any_io_executor& executor, UniqueFd fd) {
  int family = 0;
  socklen_t length = sizeof(family);
  if (getsockopt(fd.get(), SOL_SOCKET, SO_DOMAIN, &family, &length) != 0) {
    return ErrnoError("adopt-socket");
  }
  Socket socket(executor);
  boost::system::error_code code;
  socket.assign(asio::generic::stream_protocol(family, 0), fd.get(), code);
  if (code) return std::unexpected(FromAsio("adopt-socket", code));
  // The socket owns the descriptor from here on.
  [[maybe_unused]] const int owned = fd.Release();
  return socket;
}

Error FromAsio(Step step, const boost::system::error_code& code) {
  if (code == asio::error::eof) {
    return Error{step, ECONNRESET, "the peer closed the connection", {}};
  }
  if (code.category() == boost::system::system_category()) {
    return Error{step, code.value(), {}, {}};
  }
  return Error{step, 0, code.message(), {}};
}

Result<std::string> EncodeMessage(const v1::Envelope& message) {
  const size_t length = message.ByteSizeLong();
  if (length > kMaxMessageBytes) {
    return Fail("encode-message", EMSGSIZE,
                "a message of " + std::to_string(length) + " bytes, the limit is " +
                    std::to_string(kMaxMessageBytes));
  }
  const HeaderBytes header =
      EncodeHeader({FrameKind::kMessage, Stream{}, static_cast<uint32_t>(length)});
  std::string bytes(kFrameHeaderBytes + length, '\0');
  std::ranges::copy(header, reinterpret_cast<std::byte*>(bytes.data()));
  message.SerializeWithCachedSizesToArray(
      reinterpret_cast<uint8_t*>(bytes.data() + kFrameHeaderBytes));
  return bytes;
}

Result<v1::Envelope> DecodeMessage(std::span<const std::byte> payload) {
  if (payload.size() > kMaxMessageBytes) return Fail("decode-message", EMSGSIZE, "over the limit");
  google::protobuf::io::CodedInputStream input(reinterpret_cast<const uint8_t*>(payload.data()),
                                               static_cast<int>(payload.size()));
  input.SetRecursionLimit(kMaxMessageDepth);
  v1::Envelope message;
  if (!message.ParseFromCodedStream(&input) || !input.ConsumedEntireMessage()) {
    return Fail("decode-message", EPROTO, "not a berth.v1.Envelope");
  }
  if (message.body_case() == v1::Envelope::BODY_NOT_SET) {
    return Fail("decode-message", EPROTO, "an Envelope without a body that this build knows");
  }
  return message;
}

Channel::Channel(Socket socket, size_t max_message_bytes)
    : socket_(std::move(socket)), expiry_(socket_.get_executor()), buffer_(max_message_bytes) {}

asio::awaitable<Result<std::optional<FrameView>>> Channel::Read() {
  return ReadUntil(std::nullopt);
}

asio::awaitable<Result<std::optional<FrameView>>> Channel::Read(Deadline deadline) {
  return ReadUntil(deadline);
}

Result<TryFrame> Channel::TryRead() {
  for (;;) {
    auto frame = buffer_.Next();
    if (!frame) return std::unexpected(frame.error());
    if (*frame) return TryFrame{TryFrame::State::kFrame, **frame};
    if (closed_) return Fail("read-frame", ECANCELED, "the channel is closed");
    const std::span<std::byte> room = buffer_.Prepare();
    const ssize_t n = recv(socket_.native_handle(), room.data(), room.size(), MSG_DONTWAIT);
    if (n > 0) {
      buffer_.Commit(static_cast<size_t>(n));
    } else if (n == 0) {
      if (!buffer_.InsideFrame()) return TryFrame{TryFrame::State::kClosed, {}};
      return Fail("read-frame", ECONNRESET, "the peer closed in the middle of a frame");
    } else if (errno == EAGAIN) {
      return TryFrame{TryFrame::State::kWouldBlock, {}};
    } else if (errno != EINTR) {
      return ErrnoError("read-frame");
    }
  }
}

asio::awaitable<Result<std::optional<FrameView>>> Channel::ReadUntil(
    std::optional<Deadline> deadline) {
  std::optional<Deadline> frame_deadline;
  for (;;) {
    const auto attempt = TryRead();
    if (!attempt) co_return std::unexpected(attempt.error());
    if (attempt->state == TryFrame::State::kFrame) co_return attempt->frame;
    if (attempt->state == TryFrame::State::kClosed) co_return std::nullopt;

    if (buffer_.InsideFrame() && !frame_deadline) frame_deadline = Deadline::In(kFrameTimeout);
    std::optional<Deadline> until = deadline;
    if (frame_deadline && (!until || frame_deadline->at() < until->at())) until = frame_deadline;
    if (until) expiry_.Arm(*until, socket_);
    boost::system::error_code code;
    co_await socket_.async_wait(Socket::wait_read, asio::redirect_error(asio::use_awaitable, code));
    if (until && expiry_.Disarm()) {
      co_return Fail("read-frame", ETIMEDOUT,
                     buffer_.InsideFrame() ? "the rest of a frame did not arrive in time"
                                           : "no answer arrived in time");
    }
    if (code) co_return std::unexpected(FromAsio("read-frame", code));
  }
}

asio::awaitable<Result<v1::Envelope>> Channel::ReadMessage(Deadline deadline) {
  auto frame = co_await Read(deadline);
  if (!frame) co_return std::unexpected(frame.error());
  if (!*frame) co_return Fail("read-message", ECONNRESET, "the peer closed the connection");
  if ((*frame)->kind != FrameKind::kMessage) {
    co_return Fail("read-message", EPROTO, "a data frame where a message was due");
  }
  co_return DecodeMessage((*frame)->payload);
}

asio::awaitable<Result<>> Channel::WriteUntil(std::span<const std::byte> bytes,
                                              std::optional<Deadline> deadline) {
  while (!bytes.empty()) {
    if (closed_) co_return Fail("write-frame", ECANCELED, "the channel is closed");
    const ssize_t n =
        send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) {
      bytes = bytes.subspan(static_cast<size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return ErrnoError("write-frame");
    if (deadline) expiry_.Arm(*deadline, socket_);
    boost::system::error_code code;
    co_await socket_.async_wait(Socket::wait_write,
                                asio::redirect_error(asio::use_awaitable, code));
    if (deadline && expiry_.Disarm()) {
      co_return Fail("write-frame", ETIMEDOUT, "the peer did not take the bytes in time");
    }
    if (code) co_return std::unexpected(FromAsio("write-frame", code));
  }
  co_return Result<>{};
}

asio::awaitable<Result<>> Channel::WriteBytes(std::span<const std::byte> bytes) {
  return WriteUntil(bytes, std::nullopt);
}

asio::awaitable<Result<>> Channel::WriteBytes(std::span<const std::byte> bytes, Deadline deadline) {
  return WriteUntil(bytes, deadline);
}

asio::awaitable<Result<>> Channel::Write(const v1::Envelope& message) {
  const auto bytes = EncodeMessage(message);
  if (!bytes) co_return std::unexpected(bytes.error());
  co_return co_await WriteUntil(std::as_bytes(std::span(*bytes)), std::nullopt);
}

asio::awaitable<Result<>> Channel::Write(const v1::Envelope& message, Deadline deadline) {
  const auto bytes = EncodeMessage(message);
  if (!bytes) co_return std::unexpected(bytes.error());
  co_return co_await WriteUntil(std::as_bytes(std::span(*bytes)), deadline);
}

asio::awaitable<Result<>> Channel::WriteData(Stream stream, std::span<std::byte> frame) {
  const auto header = EncodeHeader(
      {FrameKind::kData, stream, static_cast<uint32_t>(frame.size() - kFrameHeaderBytes)});
  std::ranges::copy(header, frame.begin());
  co_return co_await WriteUntil(frame, std::nullopt);
}

asio::awaitable<Result<>> Channel::WriteEnd(Stream stream) {
  const HeaderBytes header = EncodeHeader({FrameKind::kEnd, stream, 0});
  co_return co_await WriteUntil(header, std::nullopt);
}

void Channel::Close() {
  closed_ = true;
  boost::system::error_code ignored;
  socket_.close(ignored);
}

}  // namespace berth::wire
