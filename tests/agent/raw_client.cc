// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/raw_client.h"

#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "protocol/base/io.h"
#include "protocol/wire/channel.h"
#include "tests/agent/agent_rig.h"

namespace berth::testing {
namespace {

constexpr size_t kMaxKeptBytes = 1024 * 1024;

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "raw client: %s\n", why.c_str());
  std::abort();
}

void Check(const Result<>& result) {
  if (!result) Die(result.error().Message());
}

}  // namespace

std::string RawClient::Encoded(const std::function<void(v1::Envelope&)>& fill) {
  v1::Envelope message;
  fill(message);
  return wire::EncodeMessage(message).value();
}

std::string RawClient::Hello(uint32_t generation) {
  return Encoded([&](v1::Envelope& message) {
    message.mutable_hello()->set_generation(generation);
    message.mutable_hello()->set_oldest_generation(1);
  });
}

void RawClient::SendBytes(std::string_view bytes) {
  Check(WriteFull(fd_.get(), bytes, Deadline::In(kPatience)));
}

void RawClient::Send(const v1::Envelope& message) {
  SendBytes(wire::EncodeMessage(message).value());
}

void RawClient::SendData(wire::Stream stream, std::string_view bytes) {
  const auto header =
      wire::EncodeHeader({wire::FrameKind::kData, stream, static_cast<uint32_t>(bytes.size())});
  Check(WriteFull(fd_.get(), header, Deadline::In(kPatience)));
  SendBytes(bytes);
}

void RawClient::SendEnd(wire::Stream stream) {
  Check(WriteFull(fd_.get(), wire::EncodeHeader({wire::FrameKind::kEnd, stream, 0}),
                  Deadline::In(kPatience)));
}

std::optional<RawClient::Frame> RawClient::Read() {
  for (;;) {
    const auto next = buffer_.Next();
    if (!next) Die(next.error().Message());
    if (*next) {
      Frame frame{(*next)->kind, (*next)->stream, {}, {}};
      frame.payload.assign(reinterpret_cast<const char*>((*next)->payload.data()),
                           (*next)->payload.size());
      if (frame.kind == wire::FrameKind::kMessage) {
        auto message = wire::DecodeMessage((*next)->payload);
        if (!message) Die(message.error().Message());
        frame.message = std::move(*message);
      }
      if (frame.kind == wire::FrameKind::kData && frame.stream == wire::Stream::kStdout) {
        stdout_bytes_ += frame.payload.size();
        if (stdout_.size() < kMaxKeptBytes) stdout_ += frame.payload;
      }
      return frame;
    }
    Check(PollFor(fd_.get(), POLLIN, Deadline::In(kPatience)));
    const auto room = buffer_.Prepare();
    const ssize_t n = read(fd_.get(), room.data(), room.size());
    if (n == 0 || (n < 0 && errno == ECONNRESET)) return std::nullopt;
    if (n < 0) Die("read: " + ErrnoName(errno));
    buffer_.Commit(static_cast<size_t>(n));
  }
}

v1::Envelope RawClient::ReadMessage() {
  for (;;) {
    auto frame = Read();
    if (!frame) Die("the agent closed where a message was due");
    if (frame->kind != wire::FrameKind::kMessage) continue;
    if (!greeted_ && frame->message.has_hello()) {
      greeted_ = true;
      continue;
    }
    return std::move(frame->message);
  }
}

uint32_t RawClient::ReadStarted() {
  const v1::Envelope message = ReadMessage();
  if (!message.has_exec_started()) Die("no ExecStarted");
  return message.exec_started().pid();
}

void RawClient::ReadStdout(std::string_view text) {
  while (stdout_.size() < text.size()) {
    if (!Read()) Die("the agent closed before it sent the output");
  }
  if (stdout_ != text) Die("output \"" + stdout_ + "\"");
}

std::string RawClient::ReadStdoutLine() {
  while (stdout_.find('\n') == std::string::npos) {
    if (!Read()) Die("the agent closed before it sent a line");
  }
  return stdout_.substr(0, stdout_.find('\n'));
}

size_t RawClient::ReadCredit() {
  const v1::Envelope message = ReadMessage();
  if (!message.has_stream_credit()) Die("no StreamCredit");
  return message.stream_credit().bytes();
}

void RawClient::ReadEnd(wire::Stream stream) {
  for (;;) {
    const auto frame = Read();
    if (!frame) Die("the agent closed before it ended the stream");
    if (frame->kind == wire::FrameKind::kEnd && frame->stream == stream) return;
  }
}

v1::Failure RawClient::ReadFailure() {
  for (;;) {
    const v1::Envelope message = ReadMessage();
    if (message.has_failure()) return message.failure();
  }
}

v1::ExecExited RawClient::ReadUntilExited() {
  for (;;) {
    const v1::Envelope message = ReadMessage();
    if (message.has_exec_exited()) return message.exec_exited();
    if (message.has_failure()) Die("Failure: " + message.failure().detail());
  }
}

}  // namespace berth::testing
