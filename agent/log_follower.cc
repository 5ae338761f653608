// SPDX-License-Identifier: Apache-2.0
#include "agent/log_follower.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>
#include <utility>

#include "protocol/wire/limits.h"

namespace berth::agent {

namespace asio = boost::asio;

namespace {

// One vsock packet (BufferPool::kBufferBytes), where the next record is not longer.
constexpr size_t kUsualBytes = 60 * 1024 - wire::kFrameHeaderBytes;
constexpr size_t kLongestBytes = PaddedLogRecord(kMaxLogRecordBytes);
static_assert(kLongestBytes <= wire::kMaxDataBytes);

// Writes a record that is no line; nothing where it does not fit.
size_t PutMark(std::span<std::byte> out, LogRecordHeader header, std::string_view text) {
  header.size = static_cast<uint32_t>(sizeof(header) + text.size());
  const size_t padded = PaddedLogRecord(header.size);
  if (padded > out.size()) return 0;
  std::memset(out.data(), 0, padded);
  std::memcpy(out.data(), &header, sizeof(header));
  std::memcpy(out.data() + sizeof(header), text.data(), text.size());
  return padded;
}

}  // namespace

size_t LogCursor::Fill(std::span<std::byte> out) {
  size_t used = 0;
  for (const auto named = ring_.named(); named_ < named.size(); ++named_) {
    const size_t n = PutMark(out.subspan(used),
                             {.size = 0,
                              .source = named[named_],
                              .level = 0,
                              .flags = LogFlag::kSource,
                              .seq = 0,
                              .realtime_ns = 0,
                              .monotonic_ns = 0,
                              .position = 0},
                             ring_.NameOf(named[named_]));
    if (n == 0) return used;
    used += n;
  }
  at_ = std::max(at_, ring_.tail());
  const bool some = at_ < ring_.head();
  const uint64_t seq = some ? ring_.HeaderAt(at_).seq : ring_.next_seq();
  if (seq > next_seq_) {
    const LogClock now = LogClock::Now();
    const uint64_t last = seq - 1;
    const std::string_view text(reinterpret_cast<const char*>(&last), sizeof(last));
    const size_t n = PutMark(out.subspan(used),
                             {.size = 0,
                              .source = 0,
                              .level = 4,
                              .flags = LogFlag::kGap,
                              .seq = next_seq_,
                              .realtime_ns = now.realtime_ns,
                              .monotonic_ns = now.monotonic_ns,
                              .position = 0},
                             text);
    if (n == 0) return used;
    used += n;
    next_seq_ = seq;
  }
  if (!some) return used;
  // Usual frames, but for a record that is longer than one.
  const size_t limit = used > 0 || PaddedLogRecord(ring_.HeaderAt(at_).size) <= kUsualBytes
                           ? std::min(kUsualBytes, out.size())
                           : out.size();
  if (used < limit) {
    const uint64_t before = at_;
    used += ring_.Copy(at_, out.subspan(used, limit - used));
    if (at_ != before) {
      next_seq_ = at_ < ring_.head() ? ring_.HeaderAt(at_).seq : ring_.next_seq();
    }
  }
  return used;
}

LogFollower::LogFollower(std::unique_ptr<wire::Channel> channel, LogRing& ring,
                         std::function<void()> acknowledged)
    : channel_(std::move(channel)),
      ring_(ring),
      acknowledged_(std::move(acknowledged)),
      more_(channel_->executor()) {}

void LogFollower::MoreCame() {
  more_came_ = true;
  more_.cancel();
}

void LogFollower::Close() {
  channel_->Close();
  MoreCame();
}

asio::awaitable<Result<>> LogFollower::Run(std::string opening, uint64_t after_seq) {
  // It may be busy with a write when the host ends: then it ends by the channel's close, and keeps
  // the channel until then.
  asio::co_spawn(
      channel_->executor(),
      [](std::shared_ptr<LogFollower> self, std::string bytes,
         uint64_t after) -> asio::awaitable<void> {
        co_await self->Send(std::move(bytes), after);
      }(shared_from_this(), std::move(opening), after_seq),
      [self = shared_from_this()](const std::exception_ptr&) { self->Close(); });
  auto listened = co_await Listen();
  Close();
  co_return listened;
}

asio::awaitable<void> LogFollower::Send(std::string opening, uint64_t after_seq) {
  const auto opened = co_await channel_->WriteBytes(std::as_bytes(std::span(opening)));
  LogCursor cursor(ring_, after_seq);
  // Not zeroed: what is sent of it was written.
  constexpr size_t kBytes = wire::kFrameHeaderBytes + kLongestBytes;
  const auto bytes = std::make_unique_for_overwrite<std::byte[]>(kBytes);
  const std::span frame(bytes.get(), kBytes);
  bool alive = opened.has_value();
  while (alive && !channel_->closed()) {
    const size_t n = cursor.Fill(frame.subspan(wire::kFrameHeaderBytes));
    if (n == 0) {
      if (std::exchange(more_came_, false)) continue;
      boost::system::error_code ignored;
      more_.expires_at(asio::steady_timer::time_point::max());
      co_await more_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      continue;
    }
    alive = (co_await channel_->WriteData(wire::Stream::kStdout,
                                          frame.first(wire::kFrameHeaderBytes + n)))
                .has_value();
  }
  channel_->Close();
}

asio::awaitable<Result<>> LogFollower::Listen() {
  for (;;) {
    auto frame = co_await channel_->Read();
    if (!frame && channel_->closed()) co_return Result<>{};
    if (!frame) co_return std::unexpected(frame.error());
    if (!*frame) co_return Result<>{};
    if ((*frame)->kind != wire::FrameKind::kMessage) {
      co_return Fail("log-follow", EPROTO, "data on a connection that follows the log");
    }
    const auto message = wire::DecodeMessage((*frame)->payload);
    if (!message) co_return std::unexpected(message.error());
    if (!message->has_log_ack()) {
      co_return Fail("log-follow", EPROTO, "another message than LogAck");
    }
    ring_.Ack(message->log_ack().seq());
    acknowledged_();
  }
}

}  // namespace berth::agent
