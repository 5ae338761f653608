// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/vsock_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <stdexcept>

#include "protocol/base/clock.h"
#include "protocol/base/io.h"
#include "protocol/wire/channel.h"
#include "protocol/wire/frame.h"
#include "protocol/wire/handshake.h"
#include "protocol/wire/limits.h"

namespace berth::bench {
namespace {

using std::chrono_literals::operator""s;

// Per step; far above what any takes.
constexpr auto kStepTimeout = 60s;
constexpr size_t kChunkBytes = 64 * 1024;
constexpr int kPollMs = 60'000;

template <typename T>
T OrDie(Result<T> result) {
  if (!result) Die(result.error().Message());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// Sends stdin as far as window and socket allow, without waiting.
class StdinFeed {
 public:
  explicit StdinFeed(uint64_t bytes)
      : left_(bytes), frame_(wire::kFrameHeaderBytes + kChunkBytes, std::byte{'b'}) {}

  bool Wants() const {
    return pending_from_ < pending_to_ || (left_ > 0 && window_ > 0) || (left_ == 0 && end_due_);
  }
  void Grant(uint64_t bytes) { window_ += bytes; }

  void Pump(int fd) {
    if (pending_from_ == pending_to_) Next();
    const ssize_t n = send(fd, frame_.data() + pending_from_, pending_to_ - pending_from_,
                           MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) pending_from_ += static_cast<size_t>(n);
    if (n < 0 && errno != EAGAIN && errno != EINTR) Die("stdin: " + ErrnoName(errno));
  }

 private:
  void Next() {
    const auto bytes = static_cast<size_t>(std::min({left_, window_, uint64_t{kChunkBytes}}));
    const auto header =
        wire::EncodeHeader({bytes > 0 ? wire::FrameKind::kData : wire::FrameKind::kEnd,
                            wire::Stream::kStdin, static_cast<uint32_t>(bytes)});
    std::ranges::copy(header, frame_.begin());
    pending_from_ = 0;
    pending_to_ = wire::kFrameHeaderBytes + bytes;
    left_ -= bytes;
    window_ -= bytes;
    if (bytes == 0) end_due_ = false;
  }

  uint64_t left_;
  uint64_t window_ = wire::kStdinWindowBytes;
  bool end_due_ = left_ > 0;  // an end frame goes behind the data
  std::vector<std::byte> frame_;
  size_t pending_from_ = 0;
  size_t pending_to_ = 0;
};

}  // namespace

void Die(const std::string& what) { throw std::runtime_error(what); }

UniqueFd Dial(const std::string& vsock_socket, uint32_t port) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (vsock_socket.size() >= sizeof(address.sun_path)) Die("path too long: " + vsock_socket);
  std::memcpy(address.sun_path, vsock_socket.c_str(), vsock_socket.size() + 1);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    Die(vsock_socket + ": " + ErrnoName(errno));
  }
  const std::string hello = "CONNECT " + std::to_string(port) + "\n";
  SendBytes(fd.get(), hello.data(), hello.size());
  std::string answer;
  while (!answer.ends_with('\n')) {
    char c = 0;
    ReceiveBytes(fd.get(), &c, 1);
    answer += c;
    if (answer.size() > 64) Die("a long answer to CONNECT");
  }
  if (!answer.starts_with("OK ")) Die("CONNECT: " + answer);
  return fd;
}

void SendBytes(int fd, const void* data, size_t bytes) {
  OrDie(WriteFull(fd, std::span(static_cast<const std::byte*>(data), bytes),
                  Deadline::In(kStepTimeout)));
}

void ReceiveBytes(int fd, void* data, size_t bytes) {
  auto* at = static_cast<std::byte*>(data);
  while (bytes > 0) {
    const ssize_t n = read(fd, at, bytes);
    if (n == 0) Die("the guest closed the connection");
    if (n < 0 && errno != EINTR) Die("read: " + ErrnoName(errno));
    if (n < 0) continue;
    at += n;
    bytes -= static_cast<size_t>(n);
  }
}

void MoveRaw(int peer, char direction, uint64_t bytes) {
  SendBytes(peer, &direction, 1);
  SendBytes(peer, &bytes, sizeof(bytes));
  std::vector<char> chunk(kChunkBytes, 'b');
  for (uint64_t left = bytes; left > 0; left -= chunk.size()) {
    if (direction == 'o') ReceiveBytes(peer, chunk.data(), chunk.size());
    if (direction == 'i') SendBytes(peer, chunk.data(), chunk.size());
  }
  if (direction == 'i') ReceiveBytes(peer, chunk.data(), 1);
}

ExecResult RunExec(const std::string& vsock_socket, const std::vector<std::string>& argv,
                   uint64_t stdin_bytes) {
  ExecResult result;
  const int64_t begin = MonotonicNs();
  const UniqueFd fd = Dial(vsock_socket, wire::kAgentPort);
  v1::Envelope hello;
  *hello.mutable_hello() = wire::MakeHello({}, {});
  v1::Envelope start;
  for (const std::string& each : argv) start.mutable_exec_start()->add_argv(each);
  start.mutable_exec_start()->set_stdin_open(stdin_bytes > 0);
  const std::string opening = OrDie(wire::EncodeMessage(hello)) + OrDie(wire::EncodeMessage(start));
  SendBytes(fd.get(), opening.data(), opening.size());

  StdinFeed stdin_feed(stdin_bytes);
  wire::FrameBuffer buffer;
  bool started = false;
  for (;;) {
    while (const std::optional<wire::FrameView> frame = OrDie(buffer.Next())) {
      if (frame->kind == wire::FrameKind::kData && frame->stream == wire::Stream::kStdout) {
        result.stdout_bytes += frame->payload.size();
      }
      if (frame->kind != wire::FrameKind::kMessage) continue;
      const v1::Envelope message = OrDie(wire::DecodeMessage(frame->payload));
      if (message.has_failure()) Die(wire::FromFailure(message.failure()).Message());
      if (message.has_stream_credit()) stdin_feed.Grant(message.stream_credit().bytes());
      if (message.has_exec_started()) {
        started = true;
        result.started_ns = MonotonicNs() - begin;
      }
      if (message.has_exec_exited()) {
        result.total_ns = MonotonicNs() - begin;
        result.code =
            message.exec_exited().has_code() ? static_cast<int>(message.exec_exited().code()) : -1;
        return result;
      }
    }
    pollfd watched{fd.get(), POLLIN, 0};
    if (started && stdin_feed.Wants()) watched.events |= POLLOUT;
    if (watched.events != POLLIN) {
      if (poll(&watched, 1, kPollMs) < 0 && errno != EINTR) Die("poll: " + ErrnoName(errno));
      if ((watched.revents & POLLOUT) != 0) stdin_feed.Pump(fd.get());
      if ((watched.revents & POLLIN) == 0) continue;
    }
    const auto room = buffer.Prepare();
    const ssize_t n = read(fd.get(), room.data(), room.size());
    if (n <= 0) Die("the session ended early");
    buffer.Commit(static_cast<size_t>(n));
  }
}

}  // namespace berth::bench
