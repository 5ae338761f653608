// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/log_follower.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "protocol/base/text.h"
#include "protocol/wire/handshake.h"
#include "protocol/wire/limits.h"
#include "supervisor/guest/call.h"
#include "supervisor/guest/dial.h"

namespace berth::daemon {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

constexpr size_t kBatchBytes = 1024 * 1024;  // durable at once; a piece of a frame may go beyond it
static_assert(kBatchBytes + wire::FrameBuffer::kPieceBytes + kMaxLogRecordBytes <
              logs::kMaxBatchBytes / 2);
// Between two writes to the disk, where the guest has much to say.
constexpr auto kFlushPause = std::chrono::milliseconds(100);
// A guest may say nothing for days; each coroutine comes by now and then.
constexpr auto kSilence = std::chrono::minutes(10);
constexpr auto kFirstTry = std::chrono::milliseconds(100);
constexpr auto kLastTry = std::chrono::seconds(5);
// A connection that held for so long is worth a quick retry.
constexpr auto kHeld = std::chrono::seconds(10);
constexpr auto kDrain = std::chrono::seconds(2);

// What only a guest that does not keep to the protocol brings about.
bool IsBreach(const Error& error) {
  return error.errnum == EPROTO || error.errnum == EMSGSIZE || error.errnum == E2BIG;
}

}  // namespace

LogFollower::LogFollower(asio::any_io_executor executor, Parts parts)
    : executor_(executor),
      parts_(std::move(parts)),
      woken_(executor),
      breaches_(5, std::chrono::minutes(1)) {}

void LogFollower::Start() {
  parts_.logs->SetTrouble({});
  parts_.logs->AddFollower();
  asio::co_spawn(executor_, Run(shared_from_this()), asio::detached);
}

void LogFollower::AgentIs(const std::string& instance_id) {
  agent_ = instance_id;
  woken_.NotifyAll();
}

void LogFollower::Finish() {
  if (std::exchange(finishing_, true)) return;
  woken_.NotifyAll();
  if (!finished_) asio::co_spawn(executor_, CloseLater(shared_from_this()), asio::detached);
}

awaitable<void> LogFollower::CloseLater(Self self) {
  const Deadline drained = Deadline::In(kDrain);
  while (!self->finished_ && !drained.Passed()) co_await self->woken_.Wait(drained);
  if (self->channel_ != nullptr) self->channel_->Close();
}

awaitable<void> LogFollower::Run(Self self) {
  std::chrono::nanoseconds retry = kFirstTry;
  bool ever_up = false;
  while (!self->finishing_) {
    if (self->agent_.empty()) {
      co_await self->woken_.Wait(Deadline::In(kSilence));
      continue;
    }
    const std::string agent = self->agent_;
    const auto begin = Deadline::Clock::now();
    const Error why = co_await self->Hold();
    const bool was_up = std::exchange(self->up_, false);
    ever_up = ever_up || was_up;
    if (was_up && Deadline::Clock::now() - begin >= kHeld) retry = kFirstTry;
    if (self->finishing_) break;
    if (IsBreach(why) && self->breaches_.Allow()) {
      spdlog::warn("{}: logs: {}", self->parts_.vsock_socket, why.Message());
    }
    self->parts_.logs->SetTrouble(why);
    // An agent that is too old stays so; another one may be younger.
    const Deadline again = Deadline::In(why.errnum == EPROTONOSUPPORT ? kSilence : retry);
    retry = std::min<std::chrono::nanoseconds>(retry * 2, kLastTry);
    while (!self->finishing_ && !again.Passed() && self->agent_ == agent) {
      co_await self->woken_.Wait(again);
    }
  }
  self->finished_ = true;
  // That its connection broke when it ended is no trouble to tell of; that there never was one is.
  if (ever_up) self->parts_.logs->SetTrouble({});
  self->parts_.logs->RemoveFollower();
  self->woken_.NotifyAll();
}

awaitable<Error> LogFollower::Hold() {
  auto socket = co_await guest::Dial(executor_, parts_.vsock_socket, wire::kAgentPort,
                                     Deadline::In(wire::kCallTimeout));
  if (!socket) co_return socket.error();
  const auto channel = std::make_shared<wire::Channel>(std::move(*socket));
  channel_ = channel;
  auto opened = co_await Open(*channel);
  const Error why =
      opened ? co_await Follow(*channel, std::move(*opened)) : std::move(opened.error());
  channel_.reset();
  co_return why;
}

awaitable<Result<LogFollower::Opened>> LogFollower::Open(wire::Channel& channel) {
  auto tail = co_await parts_.logs->Tail();
  if (!tail) co_return std::unexpected(tail.error());
  const Deadline deadline = Deadline::In(wire::kCallTimeout);
  v1::Envelope request;
  v1::LogFollow& follow = *request.mutable_log_follow();
  if (tail->boot_id) {
    follow.set_boot_id(tail->boot_id->data(), tail->boot_id->size());
    follow.set_after_seq(tail->last_seq);
  }
  if (auto sent = co_await guest::Open(channel, request, deadline); !sent) {
    co_return std::unexpected(sent.error());
  }
  const auto hello = co_await guest::ReadHello(channel, deadline);
  if (!hello) co_return std::unexpected(hello.error());
  if (hello->generation < wire::kOperatorGeneration) {
    co_return Fail("logs", EPROTONOSUPPORT,
                   "its agent (build " + Printable(hello->hello.build_id(), wire::kMaxNameBytes) +
                       ") speaks protocol generation " + std::to_string(hello->generation) +
                       ", which has no logs",
                   "rebuild its image with this release");
  }
  Opened opened{{}, {0, {}}, 0, false};
  if (hello->hello.boot_id().size() != opened.boot_id.size()) {
    co_return Fail("logs", EPROTO, "a guest without a boot id");
  }
  std::ranges::copy(hello->hello.boot_id(), opened.boot_id.begin());
  const bool known = tail->boot_id && *tail->boot_id == opened.boot_id;
  const uint64_t last = known ? tail->last_seq : 0;
  const auto answer = co_await guest::ReadAnswer(channel, deadline);
  if (!answer) co_return std::unexpected(answer.error());
  if (!answer->has_log_following()) {
    co_return Fail("logs", EPROTO, "the guest answered something else than LogFollow");
  }
  const v1::LogFollowing& following = answer->log_following();
  if (following.next_seq() <= last || following.oldest_seq() > following.next_seq()) {
    co_return Fail("logs", EPROTO, "the guest has fewer records than it has sent");
  }
  opened.acked = last;
  opened.cutter = logs::RecordCutter(last, known ? std::move(tail->sources) : logs::Sources());
  co_return opened;
}

awaitable<Error> LogFollower::Follow(wire::Channel& channel, Opened opened) {
  up_ = true;
  parts_.logs->SetTrouble({});
  std::string batch;
  size_t taken_bytes = 0;  // since others had their turn
  Deadline::Clock::time_point flushed{};
  std::optional<Error> over;
  for (;;) {
    const Deadline due(flushed + kFlushPause);
    const bool flush = !batch.empty() && (over || batch.size() >= kBatchBytes || due.Passed());
    if (flush) {
      flushed = Deadline::Clock::now();
      // The cutter stands where the batch ends: what it has begun is in no batch yet.
      auto kept = co_await Flush(channel, opened, std::move(batch));
      batch.clear();
      taken_bytes = 0;
      if (!kept && !over) over = kept.error();
    }
    // What makes no batch (names told again and again) must not hold the daemon up either.
    if (taken_bytes >= kBatchBytes) {
      taken_bytes = 0;
      co_await asio::post(executor_, asio::use_awaitable);
    }
    if (over) co_return *over;
    const auto frame = co_await channel.Read(batch.empty() ? Deadline::In(kSilence) : due);
    if (!frame) {
      if (frame.error().errnum != ETIMEDOUT) over = frame.error();
    } else if (!*frame || (*frame)->kind == wire::FrameKind::kEnd) {
      over = Error{"logs", ECONNRESET, "the guest's log connection has ended", {}};
    } else if ((*frame)->kind == wire::FrameKind::kMessage) {
      const auto message = wire::DecodeMessage((*frame)->payload);
      over = message && message->has_failure()
                 ? wire::FromFailure(message->failure())
                 : Error{"logs", EPROTO, "the guest said something unasked", {}};
    } else if ((*frame)->stream != wire::Stream::kStdout) {
      over = Error{"logs", EPROTO, "data of another stream than 1", {}};
    } else {
      taken_bytes += (*frame)->payload.size();
      if (auto taken = opened.cutter.Take((*frame)->payload, batch); !taken) over = taken.error();
    }
  }
}

awaitable<Result<>> LogFollower::Flush(wire::Channel& channel, Opened& opened,
                                       std::string records) {
  const uint64_t last = opened.cutter.last_seq();
  const auto kept = co_await parts_.logs->Append(opened.boot_id, std::move(records));
  if (!kept && kept.error().errnum == EINVAL) co_return kept;  // a mistake of ours: begin anew
  if (kept.has_value() == std::exchange(dropping_, !kept)) {
    parts_.kept(kept ? std::string() : kept.error().Message());
  }
  if (opened.deaf || last == opened.acked) co_return Result<>{};
  opened.acked = last;
  // What could not be kept is acknowledged too: it is lost, the store will say so, and the guest
  // is not to fill up for it.
  v1::Envelope ack;
  ack.mutable_log_ack()->set_seq(last);
  auto sent = co_await channel.Write(ack, Deadline::In(wire::kCallTimeout));
  if (!sent && (sent.error().errnum == EPIPE || sent.error().errnum == ECONNRESET)) {
    opened.deaf = true;
    co_return Result<>{};
  }
  co_return sent;
}

}  // namespace berth::daemon
