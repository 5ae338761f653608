// SPDX-License-Identifier: Apache-2.0
#include "protocol/wire/relay.h"

#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "protocol/wire/channel.h"
#include "protocol/wire/handshake.h"
#include "protocol/wire/limits.h"

namespace berth::wire {

namespace {

// What one relay may move before the others have their turn.
constexpr int kChunksPerRound = 4;

bool IsSocket(int fd) {
  struct stat status{};
  return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

bool Ready(int fd, short events) {
  pollfd state{.fd = fd, .events = events, .revents = 0};
  return poll(&state, 1, 0) > 0;
}

// -1 with EAGAIN where it would wait.
ssize_t ReadSome(int fd, bool is_socket, std::span<std::byte> room) {
  ssize_t n = 0;
  do {
    if (is_socket) {
      n = recv(fd, room.data(), room.size(), MSG_DONTWAIT);
    } else if (!Ready(fd, POLLIN)) {
      // The descriptor may be shared with the caller's shell: its flags are left alone.
      errno = EAGAIN;
      return -1;
    } else {
      n = read(fd, room.data(), room.size());
    }
  } while (n < 0 && errno == EINTR);
  return n;
}

ssize_t WriteSome(int fd, bool is_socket, std::span<const std::byte> bytes) {
  ssize_t n = 0;
  do {
    if (is_socket) {
      n = send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    } else if (!Ready(fd, POLLOUT)) {
      errno = EAGAIN;
      return -1;
    } else {
      // So much is what poll(2) promises of a pipe.
      n = write(fd, bytes.data(), std::min<size_t>(bytes.size(), PIPE_BUF));
    }
  } while (n < 0 && errno == EINTR);
  return n;
}

}  // namespace

std::span<std::byte> RelayPool::Chunk() {
  if (!chunk_) chunk_ = std::make_unique_for_overwrite<std::byte[]>(kMaxChunkBytes);
  const size_t left = kHeldBytes - std::min(held_, kHeldBytes);
  return {chunk_.get(), std::clamp(left / 16, kMinChunkBytes, kMaxChunkBytes)};
}

void Rest::Keep(std::span<const std::byte> bytes) {
  Clear();
  if (bytes.empty()) return;
  bytes_ = std::make_unique_for_overwrite<std::byte[]>(bytes.size());
  std::ranges::copy(bytes, bytes_.get());
  end_ = size_ = bytes.size();
  pool_.held_ += size_;
}

void Rest::Drop(size_t bytes) {
  begin_ += std::min(bytes, end_ - begin_);
  if (empty()) Clear();
}

void Rest::Clear() {
  pool_.held_ -= size_;
  begin_ = end_ = size_ = 0;
  bytes_.reset();
}

Relay::Relay(RelayPool& pool, RelayEnds ends, OnMessage on_message)
    : ends_(std::move(ends)),
      pool_(pool),
      on_message_(std::move(on_message)),
      source_is_socket_(IsSocket(ends_.source)),
      sink_is_socket_(IsSocket(ends_.sink)),
      outgoing_(pool),
      incoming_(pool) {}

Result<Relay::Progress> Relay::Round() {
  wants_ = {};
  BERTH_ASSIGN(const bool more_in, MoveIn());
  BERTH_ASSIGN(const bool more_out, MoveOut());
  if (in_ended_ && out_ended_ && incoming_.empty() && outgoing_.empty()) return Progress::kDone;
  return more_in || more_out ? Progress::kMore : Progress::kWait;
}

// --- framed → sink ---

Result<bool> Relay::MoveIn() {
  for (int chunks = 0; chunks < kChunksPerRound; ++chunks) {
    if (!incoming_.empty()) {
      BERTH_ASSIGN(const size_t used, Consume(incoming_.bytes()));
      incoming_.Drop(used);
      if (!incoming_.empty()) {
        wants_.sink |= POLLOUT;
        return false;
      }
    }
    const auto chunk = pool_.Chunk();
    const ssize_t n = ReadSome(ends_.framed, true, chunk);
    if (n < 0 && errno == EAGAIN) {
      wants_.framed |= POLLIN;
      return false;
    }
    if (n <= 0) {
      if (in_ended_ && out_ended_ && outgoing_.empty()) return false;
      return Fail("forward-reset", ECONNRESET, "the other end of the forward is gone");
    }
    const auto got = chunk.first(static_cast<size_t>(n));
    BERTH_ASSIGN(const size_t used, Consume(got));
    incoming_.Keep(got.subspan(used));
    if (used < got.size()) {
      wants_.sink |= POLLOUT;
      return false;
    }
  }
  return true;
}

Result<size_t> Relay::Consume(std::span<const std::byte> bytes) {
  size_t used = 0;
  while (used < bytes.size()) {
    const auto left = bytes.subspan(used);
    if (data_left_ > 0) {
      BERTH_ASSIGN(const size_t taken, ToSink(left.first(std::min(left.size(), data_left_))));
      if (taken == 0) return used;
      data_left_ -= taken;
      used += taken;
    } else if (message_left_) {
      const size_t take = std::min(left.size(), *message_left_);
      message_.append(reinterpret_cast<const char*>(left.data()), take);
      *message_left_ -= take;
      used += take;
      if (*message_left_ == 0) BERTH_TRY(TakeMessage());
    } else {
      const size_t take = std::min(left.size(), header_.size() - header_bytes_);
      std::ranges::copy(left.first(take), header_.begin() + static_cast<ptrdiff_t>(header_bytes_));
      header_bytes_ += take;
      used += take;
      if (header_bytes_ == header_.size()) BERTH_TRY(TakeHeader());
    }
  }
  return used;
}

Result<> Relay::TakeHeader() {
  header_bytes_ = 0;
  BERTH_ASSIGN(const FrameHeader header, DecodeHeader(header_));
  if (header.kind == FrameKind::kMessage) {
    if (header.length > kMaxForwardMessageBytes) {
      return Fail("forward", EMSGSIZE,
                  "a message of " + std::to_string(header.length) + " bytes beside the data");
    }
    message_left_ = header.length;
    return header.length == 0 ? TakeMessage() : Result<>{};
  }
  if (!open_ || in_ended_ || header.stream != ends_.in) {
    return Fail("forward", EPROTO, "data or an end where there can be none");
  }
  if (header.kind == FrameKind::kData) {
    data_left_ = header.length;
  } else {
    in_ended_ = true;
    EndSink();
  }
  return {};
}

Result<> Relay::TakeMessage() {
  const std::string payload = std::exchange(message_, {});
  message_left_.reset();
  BERTH_ASSIGN(const v1::Envelope message, DecodeMessage(std::as_bytes(std::span(payload))));
  if (message.has_failure()) return std::unexpected(FromFailure(message.failure()));
  return on_message_(message);
}

Result<size_t> Relay::ToSink(std::span<const std::byte> bytes) {
  if (sink_error_) return bytes.size();
  const ssize_t n = WriteSome(ends_.sink, sink_is_socket_, bytes);
  if (n >= 0) return static_cast<size_t>(n);
  if (errno == EAGAIN) return size_t{0};
  sink_error_ = Error{"forward-reset", errno, "what takes the data has closed", {}};
  if (!sink_is_socket_) return std::unexpected(*sink_error_);
  // What it sent before it closed may still be on its way to the other side.
  return bytes.size();
}

void Relay::EndSink() {
  if (sink_is_socket_) {
    shutdown(ends_.sink, SHUT_WR);
  } else {
    ends_.pipe_sink.Reset();
  }
}

// --- source → framed ---

Result<bool> Relay::MoveOut() {
  for (int chunks = 0; chunks < kChunksPerRound; ++chunks) {
    if (framed_broken_) return false;
    if (!outgoing_.empty()) {
      BERTH_ASSIGN(const size_t sent, SendFramed(outgoing_.bytes()));
      outgoing_.Drop(sent);
      if (framed_broken_) return true;
      if (!outgoing_.empty()) {
        wants_.framed |= POLLOUT;
        return false;
      }
    }
    if (!open_ || out_ended_) return false;
    const auto chunk = pool_.Chunk();
    const ssize_t n = ReadSome(ends_.source, source_is_socket_, chunk.subspan(kFrameHeaderBytes));
    if (n < 0 && errno == EAGAIN) {
      wants_.source |= POLLIN;
      return false;
    }
    if (n < 0) return ErrnoError("forward-reset", "the forwarded connection broke off");
    if (n == 0 && sink_error_) return std::unexpected(*sink_error_);
    const auto length = static_cast<uint32_t>(n);
    const HeaderBytes header =
        EncodeHeader({n > 0 ? FrameKind::kData : FrameKind::kEnd, ends_.out, length});
    std::ranges::copy(header, chunk.begin());
    out_ended_ = n == 0;
    const auto frame = chunk.first(kFrameHeaderBytes + length);
    BERTH_ASSIGN(const size_t sent, SendFramed(frame));
    outgoing_.Keep(frame.subspan(sent));
    if (framed_broken_) return true;
  }
  return true;
}

Result<size_t> Relay::SendFramed(std::span<const std::byte> bytes) {
  const ssize_t n = WriteSome(ends_.framed, true, bytes);
  if (n >= 0) return static_cast<size_t>(n);
  if (errno == EAGAIN) return size_t{0};
  if (errno != EPIPE && errno != ECONNRESET) return ErrnoError("forward-reset", "send");
  // It has closed: what it said last is still to be read, and then its end is, as soon as the sink
  // has room. Until then it is not polled: it would only say again that it has closed.
  framed_broken_ = true;
  return bytes.size();
}

void Relay::TellFailure(const Error& error) {
  // In the middle of a frame it would be taken for data.
  if (!outgoing_.empty() || framed_broken_) return;
  v1::Envelope message;
  *message.mutable_failure() = ToFailure(error);
  if (const auto bytes = EncodeMessage(message)) {
    WriteSome(ends_.framed, true, std::as_bytes(std::span(*bytes)));
  }
}

void ResetOnClose(int socket) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

}  // namespace berth::wire
