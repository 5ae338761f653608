// SPDX-License-Identifier: Apache-2.0
#include "protocol/wire/channel.h"

#include <google/protobuf/io/coded_stream.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace berth::wire {

namespace asio = boost::asio;

Result<Socket> AdoptSocket(asio::any_io_executor executor, UniqueFd fd) {
  int family = 0;
  socklen_t length = sizeof(family);
  if (getsockopt(fd.get(), SOL_SOCKET, SO_DOMAIN, &family, &length) != 0) {
    return ErrnoError("adopt-socket");
  }
  Socket socket(std::move(executor));
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

Channel::Channel(Socket socket) : socket_(std::move(socket)), timer_(socket_.get_executor()) {}

asio::awaitable<Result<std::optional<FrameView>>> Channel::Read() {
  return ReadUntil(std::nullopt);
}

asio::awaitable<Result<std::optional<FrameView>>> Channel::Read(Deadline deadline) {
  return ReadUntil(deadline);
}

asio::awaitable<Result<std::optional<FrameView>>> Channel::ReadUntil(
    std::optional<Deadline> deadline) {
  std::optional<Deadline> frame_deadline;
  for (;;) {
    auto frame = buffer_.Next();
    if (!frame || *frame) co_return frame;

    if (closed_) co_return Fail("read-frame", ECANCELED, "the channel is closed");
    if (buffer_.InsideFrame() && !frame_deadline) frame_deadline = Deadline::In(kFrameTimeout);
    std::optional<Deadline> until = deadline;
    if (frame_deadline && (!until || frame_deadline->at() < until->at())) until = frame_deadline;
    timed_out_ = false;
    if (until) {
      const uint64_t epoch = ++timer_epoch_;
      timer_.expires_at(until->at());
      timer_.async_wait([this, epoch](const boost::system::error_code& code) {
        if (code || epoch != timer_epoch_) return;
        timed_out_ = true;
        socket_.cancel();
      });
    }
    const std::span<std::byte> room = buffer_.Prepare();
    boost::system::error_code code;
    const size_t n = co_await socket_.async_read_some(
        asio::buffer(room.data(), room.size()), asio::redirect_error(asio::use_awaitable, code));
    if (until) {
      ++timer_epoch_;
      timer_.cancel();
    }
    buffer_.Commit(n);
    if (!code) continue;
    if (timed_out_) {
      co_return Fail("read-frame", ETIMEDOUT,
                     buffer_.InsideFrame() ? "the rest of a frame did not arrive in time"
                                           : "no answer arrived in time");
    }
    if (code == asio::error::eof && !buffer_.InsideFrame()) co_return std::nullopt;
    if (code == asio::error::eof) {
      co_return Fail("read-frame", ECONNRESET, "the peer closed in the middle of a frame");
    }
    co_return std::unexpected(FromAsio("read-frame", code));
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

asio::awaitable<Result<>> Channel::WriteBytes(std::span<const std::byte> bytes) {
  if (closed_) co_return Fail("write-frame", ECANCELED, "the channel is closed");
  boost::system::error_code code;
  co_await asio::async_write(socket_, asio::buffer(bytes.data(), bytes.size()),
                             asio::redirect_error(asio::use_awaitable, code));
  if (code) co_return std::unexpected(FromAsio("write-frame", code));
  co_return Result<>{};
}

asio::awaitable<Result<>> Channel::Write(const v1::Envelope& message) {
  const auto bytes = EncodeMessage(message);
  if (!bytes) co_return std::unexpected(bytes.error());
  co_return co_await WriteBytes(std::as_bytes(std::span(*bytes)));
}

asio::awaitable<Result<>> Channel::WriteData(Stream stream, std::span<std::byte> frame) {
  const auto header = EncodeHeader(
      {FrameKind::kData, stream, static_cast<uint32_t>(frame.size() - kFrameHeaderBytes)});
  std::ranges::copy(header, frame.begin());
  co_return co_await WriteBytes(frame);
}

asio::awaitable<Result<>> Channel::WriteEnd(Stream stream) {
  const HeaderBytes header = EncodeHeader({FrameKind::kEnd, stream, 0});
  co_return co_await WriteBytes(header);
}

void Channel::Close() {
  closed_ = true;
  ++timer_epoch_;
  timer_.cancel();
  boost::system::error_code ignored;
  socket_.close(ignored);
}

}  // namespace berth::wire
