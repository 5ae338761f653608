// SPDX-License-Identifier: Apache-2.0
#include "agent/logs.h"

#include <fcntl.h>
#include <string.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "agent/log_kernel.h"
#include "agent/log_syslog.h"
#include "protocol/base/log.h"
#include "protocol/wire/handshake.h"
#include "protocol/wire/limits.h"

namespace berth::agent {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

// PID 1 hands the ring over before the agent runs.
constexpr auto kRingTimeout = 2s;
// A line without its end becomes a record after so long without a byte of it.
constexpr auto kPartialWait = 1s;
// Where the guest has no memory for what a source has.
constexpr auto kFailedWait = 100ms;
// For a host to follow after it has heard Ready.
constexpr auto kFollowWait = 5s;
// Turns of one source when the guest ends: what it had at that time, and no more for ever.
constexpr int kLastTurns = 1024;

void WarnOfLog(const Error& error) { Log(LogLevel::kWarning, "berth-agent", error.Message()); }

}  // namespace

// A source and what runs it.
struct Logs::Pump {
  Pump(std::unique_ptr<LogSource> its_source, const asio::any_io_executor& executor)
      : source(std::move(its_source)), room(executor), pause(executor) {}
  std::unique_ptr<LogSource> source;
  Event room;  // the host has acknowledged more
  asio::steady_timer pause;
  bool waits_for_room = false;
  std::optional<Deadline::Clock::time_point> flush_at;
};

Logs::Logs(const asio::any_io_executor& executor, std::string boot_id, std::string kernel_path)
    : executor_(executor),
      boot_id_(std::move(boot_id)),
      kernel_path_(std::move(kernel_path)),
      ring_came_(executor),
      flush_(executor),
      heard_(executor) {}

Logs::~Logs() {
  if (own_pipe_) TeeLog(-1);
}

void Logs::Take(ControlMessage message) {
  switch (message.packet.kind) {
    case ControlKind::kLogRing:
      TakeRing(std::move(message.fds[0]));
      break;
    case ControlKind::kLogSource:
      TakeSource(std::move(message));
      break;
    case ControlKind::kLogSyslog:
      if (!ring_ || !message.fds[0] || pumps_.contains(kLogSourceSyslog)) return;
      ring_->Name(kLogSourceSyslog, "syslog");
      Begin(std::make_unique<LogSyslog>(executor_, std::move(message.fds[0]), scratch_));
      break;
    default:
      break;
  }
}

void Logs::TakeRing(UniqueFd fd) {
  if (ring_ || !fd) return;
  auto ring = LogRing::Map(fd.get());
  if (!ring) return WarnOfLog(ring.error());
  ring_.emplace(std::move(*ring));
  if (ring_->damaged()) {
    WarnOfLog({"log-ring", EUCLEAN, "the log's records made no sense and were dropped", {}});
  }
  ring_came_.cancel();
  if (kernel_path_.empty()) return;
  UniqueFd records(open(kernel_path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!records) return WarnOfLog({"log-kernel", errno, kernel_path_, {}});
  ring_->Name(kLogSourceKernel, "kmsg");
  Begin(std::make_unique<LogKernel>(executor_, std::move(records)));
}

void Logs::TakeSource(ControlMessage message) {
  const ControlPacket& packet = message.packet;
  const uint16_t number = packet.log_source;
  const bool blocks = (packet.log_flags & LogSourceFlag::kBlock) != 0;
  if (!ring_ || number == 0 || number >= kMaxLogSources) return;
  if (const auto known = pumps_.find(number); known != pumps_.end()) {
    // PID 1 says anew what its service wants.
    if (auto* const pipe = dynamic_cast<LogPipe*>(known->second->source.get())) {
      pipe->SetBlocks(blocks);
      known->second->room.Notify();
    }
    return;
  }
  if (!message.fds[0] || !message.fds[1]) return;
  auto pipe = LogPipe::Make(executor_,
                            {.number = number,
                             .is_stderr = (packet.log_flags & LogSourceFlag::kStderr) != 0,
                             .blocks = blocks},
                            std::move(message.fds[0]), std::move(message.fds[1]), scratch_, *ring_);
  if (!pipe) return WarnOfLog(pipe.error());
  ring_->Name(number, {packet.name, strnlen(packet.name, sizeof(packet.name))});
  if (number == kLogSourceAgent && message.fds[2]) {
    own_pipe_ = std::move(message.fds[2]);
    TeeLog(own_pipe_.get());
  }
  Begin(std::move(*pipe));
}

void Logs::Begin(std::unique_ptr<LogSource> source) {
  const uint16_t number = source->number();
  auto& pump =
      *pumps_.emplace(number, std::make_unique<Pump>(std::move(source), executor_)).first->second;
  asio::co_spawn(executor_, Run(pump), [](const std::exception_ptr& lost) {
    if (!lost) return;
    // Memory is gone; the next agent goes on where this one was.
    Log(LogLevel::kError, "berth-agent", "a source of the log is lost until the agent restarts");
  });
}

asio::awaitable<void> Logs::Run(Pump& pump) {
  boost::system::error_code code;
  while (!code) {
    const uint64_t before = ring_->head();
    const LogSource::Took took = pump.source->Take(*ring_);
    if (ring_->head() != before) MoreCame();
    pump.waits_for_room = took == LogSource::Took::kNoRoom;
    switch (took) {
      case LogSource::Took::kSome:
        co_await asio::post(executor_, asio::use_awaitable);
        break;
      case LogSource::Took::kNothing:
        pump.flush_at.reset();
        if (pump.source->HasPartial()) {
          pump.flush_at = Deadline::Clock::now() + kPartialWait;
          ArmFlush();
        }
        co_await pump.source->descriptor().async_wait(
            asio::posix::stream_descriptor::wait_read,
            asio::redirect_error(asio::use_awaitable, code));
        break;
      case LogSource::Took::kNoRoom:
        co_await pump.room.Wait();
        break;
      case LogSource::Took::kFailed:
        pump.pause.expires_after(kFailedWait);
        co_await pump.pause.async_wait(asio::redirect_error(asio::use_awaitable, code));
        break;
    }
  }
}

void Logs::ArmFlush() {
  if (std::exchange(flush_armed_, true)) return;
  flush_.expires_after(kPartialWait);
  flush_.async_wait([this](const boost::system::error_code& code) {
    if (code) return;
    flush_armed_ = false;
    const auto now = Deadline::Clock::now();
    const uint64_t before = ring_->head();
    std::optional<Deadline::Clock::time_point> next;
    for (const auto& [number, pump] : pumps_) {
      if (!pump->flush_at) continue;
      if (*pump->flush_at <= now) {
        pump->source->FlushPartial(*ring_);
        pump->flush_at.reset();
      } else if (!next || *pump->flush_at < *next) {
        next = pump->flush_at;
      }
    }
    if (ring_->head() != before) MoreCame();
    // At most one period late, for one timer instead of as many as there are sources.
    if (next) ArmFlush();
  });
}

void Logs::MoreCame() {
  for (const auto& follower : followers_) follower->MoreCame();
}

void Logs::Acknowledged() {
  for (const auto& [number, pump] : pumps_) {
    if (pump->waits_for_room) pump->room.Notify();
  }
  heard_.cancel();
}

asio::awaitable<bool> Logs::AwaitRing() {
  if (!ring_) {
    boost::system::error_code ignored;
    ring_came_.expires_after(kRingTimeout);
    co_await ring_came_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  co_return ring_.has_value();
}

asio::awaitable<Result<>> Logs::Serve(std::unique_ptr<wire::Channel> channel,
                                      const v1::LogFollow& request, std::string greeting) {
  v1::Envelope opening;
  const bool there = co_await AwaitRing();
  if (!there) {
    *opening.mutable_failure() = wire::ToFailure(
        {"log-follow", ENODEV, "PID 1 keeps no log", "its console says why: berth console"});
  } else {
    opening.mutable_log_following()->set_oldest_seq(ring_->oldest_seq());
    opening.mutable_log_following()->set_next_seq(ring_->next_seq());
  }
  const auto encoded = wire::EncodeMessage(opening);
  if (!encoded) co_return std::unexpected(encoded.error());
  greeting += *encoded;
  if (!there) {
    co_return co_await channel->WriteBytes(std::as_bytes(std::span(greeting)),
                                           Deadline::In(wire::kCallTimeout));
  }
  // Numbers of another boot mean nothing here. A number that was not given yet is no line's.
  uint64_t after = request.boot_id() == boot_id_ ? request.after_seq() : 0;
  if (after >= ring_->next_seq()) after = ring_->next_seq() - 1;

  // A connection whose host is gone may look alive: the newest is the one that counts.
  if (followers_.size() >= static_cast<size_t>(wire::kMaxFollowers)) {
    followers_.front()->Close();
    followers_.pop_front();
  }
  const auto follower =
      std::make_shared<LogFollower>(std::move(channel), *ring_, [this] { Acknowledged(); });
  followers_.push_back(follower);
  host_expected_.reset();  // it came
  // No destructor does this: a frame may outlive the agent, whose context ends with it inside.
  const auto leave = [this, &follower] {
    followers_.remove(follower);
    heard_.cancel();
  };
  try {
    auto served = co_await follower->Run(std::move(greeting), after);
    leave();
    co_return served;
  } catch (...) {
    leave();
    throw;
  }
}

void Logs::ExpectHost(bool expected) {
  host_expected_.reset();
  if (expected && followers_.empty()) host_expected_ = Deadline::In(kFollowWait);
  heard_.cancel();
}

void Logs::Drain() {
  const uint64_t before = ring_->head();
  for (const auto& [number, pump] : pumps_) {
    int turns = 0;
    while (pump->source->Take(*ring_) == LogSource::Took::kSome && ++turns < kLastTurns) {
    }
    pump->source->FlushPartial(*ring_);
  }
  if (ring_->head() != before) MoreCame();
}

asio::awaitable<void> Logs::AwaitHeard(Deadline deadline) {
  if (!ring_) co_return;
  for (;;) {
    Drain();
    const bool somebody = !followers_.empty() || (host_expected_ && !host_expected_->Passed());
    if (!somebody || ring_->acked_seq() + 1 >= ring_->next_seq() || deadline.Passed()) co_return;
    boost::system::error_code ignored;
    heard_.expires_at(deadline.at());
    co_await heard_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

}  // namespace berth::agent
