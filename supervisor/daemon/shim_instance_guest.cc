// SPDX-License-Identifier: Apache-2.0
//
// The part of a ShimInstance that speaks with the guest. Everything that comes from there is a
// claim: it is bounded by protocol/wire and made printable before it is kept.
#include <spdlog/spdlog.h>

#include <optional>

#include "protocol/base/log.h"
#include "protocol/base/text.h"
#include "protocol/wire/handshake.h"
#include "protocol/wire/limits.h"
#include "supervisor/daemon/shim_instance.h"
#include "supervisor/guest/call.h"
#include "supervisor/guest/dial.h"
#include "supervisor/guest/oom_kill.h"
#include "supervisor/lifecycle/evidence.h"

namespace berth::daemon {

namespace asio = boost::asio;
using asio::awaitable;
using lifecycle::AgentState;
using lifecycle::Fault;
using lifecycle::Kind;
using lifecycle::Outcome;

namespace {

// How often a silent agent is asked whether it is still there.
constexpr auto kPingInterval = std::chrono::seconds(30);
constexpr auto kFirstRetry = std::chrono::milliseconds(100);
constexpr auto kSlowestRetry = std::chrono::seconds(5);
// An agent that was up for so long is worth a quick retry; one that lets us in and closes is not.
constexpr auto kSteady = std::chrono::seconds(10);

// A guest that says Ready again and again costs a line now and then.
constexpr auto kReadyPause = std::chrono::milliseconds(50);

}  // namespace

awaitable<void> ShimInstance::FollowReady(Self self) {
  LogLimiter limiter(5, std::chrono::minutes(1));
  while (!self->down_ && !self->view_.Ended()) {
    const auto report = co_await self->ready_->Wait(Deadline::In(std::chrono::minutes(10)));
    if (report) {
      self->TakeReady(*report);
    } else if (report.error().errnum == ECANCELED) {
      co_return;
    } else if (report.error().errnum == EPROTONOSUPPORT && !self->view_.ready) {
      // Not the agent's word yet: any process in the guest may ring.
      self->view_.refused = ToFault(Kind::kStartFailed, report.error());
      self->Changed();
    } else if (report.error().errnum != ETIMEDOUT && limiter.Allow()) {
      spdlog::warn("{}: Ready: {}", self->paths_.dir, report.error().Message());
    }
    const Deadline again = Deadline::In(kReadyPause);
    while (!self->down_ && !self->view_.Ended() && !again.Passed()) {
      co_await self->woken_.Wait(again);
    }
  }
}

void ShimInstance::TakeReady(const guest::ReadyReport& report) {
  const auto printable = [](const std::string& text) {
    return Printable(text, wire::kMaxNameBytes);
  };
  lifecycle::GuestReady ready;
  ready.generation = report.generation;
  ready.build_id = printable(report.hello.build_id());
  ready.boot_id = wire::HexOfId(report.hello.boot_id());
  ready.instance_id = wire::HexOfId(report.hello.instance_id());
  ready.kernel_release = printable(report.ready.kernel_release());
  ready.agent_starts = report.ready.agent_starts();
  for (const auto& phase : report.ready.phases()) {
    ready.phases.push_back({printable(phase.name()), static_cast<int64_t>(phase.monotonic_us())});
  }
  ready.sent_guest_us = static_cast<int64_t>(report.ready.sent_monotonic_us());
  ready.received_monotonic_ns = report.received_monotonic_ns;
  view_.ready = std::move(ready);
  view_.refused.reset();
  view_.agent = AgentState::kUp;
  view_.agent_why.clear();
  if (log_follower_ != nullptr) log_follower_->AgentIs(view_.ready->instance_id);
  Changed();
}

awaitable<void> ShimInstance::FollowAgent(Self self) {
  const auto over = [&] { return self->down_ || self->view_.Ended(); };
  std::chrono::nanoseconds retry = kFirstRetry;
  while (!over()) {
    if (!self->view_.ready || self->view_.paused) {
      co_await self->woken_.Wait(Deadline::In(std::chrono::minutes(10)));
      continue;
    }
    const std::string known = self->view_.ready->instance_id;
    const auto begin = Deadline::Clock::now();
    const Error why = co_await self->HoldAgent();
    const bool steady =
        self->view_.agent == AgentState::kUp && Deadline::Clock::now() - begin >= kSteady;
    if (over()) co_return;
    // A guest that stands still answers nothing, and is not dead.
    if (self->view_.paused) continue;
    // The loss of a connection may be the vsock device's: the agent is lost when it cannot be
    // reached again, or has another name then.
    if (self->view_.ready->instance_id == known) self->SetAgent(AgentState::kLost, why.Message());
    if (steady) retry = kFirstRetry;
    const Deadline again = Deadline::In(retry);
    retry = std::min<std::chrono::nanoseconds>(retry * 2, kSlowestRetry);
    while (!over() && !again.Passed() && self->view_.ready->instance_id == known) {
      co_await self->woken_.Wait(again);
    }
  }
}

awaitable<Result<>> ShimInstance::PingAgent(wire::Channel& channel, bool first) {
  const Deadline deadline = Deadline::In(wire::kCallTimeout);
  v1::Envelope ping;
  ping.mutable_ping()->set_payload("berthd");
  auto sent = first ? co_await guest::Open(channel, ping, deadline)
                    : co_await channel.Write(ping, deadline);
  if (!sent) co_return sent;
  if (first) {
    if (auto hello = co_await guest::ReadHello(channel, deadline); !hello) {
      co_return std::unexpected(hello.error());
    }
  }
  const auto pong = co_await guest::ReadAnswer(channel, deadline);
  if (!pong) co_return std::unexpected(pong.error());
  if (!pong->has_pong()) co_return Fail("ping", EPROTO, "the agent answered something else");
  co_return Result<>{};
}

awaitable<Error> ShimInstance::HoldAgent() {
  // Which generation the agent speaks is its own word on this port, that no other process of the
  // guest can listen on; whoever rang the bell may have claimed anything.
  agent_generation_ = wire::kGeneration;
  Error why = co_await HoldConnection(&ShimInstance::FollowGuest);
  if (agent_generation_ < wire::kServiceGeneration && !down_) {
    why = co_await HoldConnection(&ShimInstance::KeepPinging);
  }
  co_return why;
}

awaitable<Error> ShimInstance::HoldConnection(Hold hold) {
  auto socket = co_await guest::Dial(executor_, paths_.VsockSocket(), wire::kAgentPort,
                                     Deadline::In(wire::kCallTimeout));
  if (!socket) co_return socket.error();
  const auto channel = std::make_shared<wire::Channel>(std::move(*socket));
  if (down_) co_return Error{"agent", ECANCELED, {}, {}};
  agent_ = channel;
  Error why = co_await (this->*hold)(*channel);
  agent_.reset();
  co_return why;
}

awaitable<Error> ShimInstance::KeepPinging(wire::Channel& channel) {
  for (bool first = true;; first = false) {
    if (auto alive = co_await PingAgent(channel, first); !alive) co_return alive.error();
    SetAgent(AgentState::kUp, {});
    const auto frame = co_await channel.Read(Deadline::In(kPingInterval));
    if (!frame && frame.error().errnum == ETIMEDOUT) continue;
    if (!frame) co_return frame.error();
    if (!*frame) co_return Error{"agent", ECONNRESET, "the agent's connection has ended", {}};
    co_return Error{"agent", EPROTO, "the agent said something unasked", {}};
  }
}

awaitable<Result<>> ShimInstance::OpenFollow(wire::Channel& channel) {
  const Deadline deadline = Deadline::In(wire::kCallTimeout);
  v1::Envelope follow;
  follow.mutable_follow();
  if (!guest_config_.empty()) {
    follow.mutable_follow()->mutable_configure()->set_toml(guest_config_);
  }
  if (auto opened = co_await guest::Open(channel, follow, deadline); !opened) co_return opened;
  const auto hello = co_await guest::ReadHello(channel, deadline);
  if (!hello) co_return std::unexpected(hello.error());
  agent_generation_ = hello->generation;
  if (std::exchange(followed_, hello->hello.instance_id()) != followed_) last_oom_seq_ = 0;
  const auto answer = co_await guest::ReadAnswer(channel, deadline);
  if (!answer) co_return std::unexpected(answer.error());
  if (!answer->has_following()) {
    co_return Fail("follow", EPROTO, "the agent answered something else");
  }
  co_return Result<>{};
}

awaitable<Error> ShimInstance::FollowGuest(wire::Channel& channel) {
  if (auto opened = co_await OpenFollow(channel); !opened) co_return opened.error();
  SetAgent(AgentState::kUp, {});
  if (agent_generation_ >= wire::kOperatorGeneration) {
    MakeDue(kConfigureHealth | kFetchHealth | kReseed | kClock);
  }
  v1::Envelope ping;
  ping.mutable_ping()->set_payload("berthd");
  std::optional<Deadline> pong_due;
  for (;;) {
    const auto frame = co_await channel.Read(pong_due.value_or(Deadline::In(kPingInterval)));
    if (!frame && frame.error().errnum == ETIMEDOUT && !pong_due) {
      pong_due = Deadline::In(wire::kCallTimeout);
      if (auto sent = co_await channel.Write(ping, *pong_due); !sent) co_return sent.error();
      continue;
    }
    if (!frame) co_return frame.error();
    if (!*frame) co_return Error{"agent", ECONNRESET, "the agent's connection has ended", {}};
    if ((*frame)->kind != wire::FrameKind::kMessage) {
      co_return Error{"agent", EPROTO, "the agent sent data where it tells events", {}};
    }
    const auto message = wire::DecodeMessage((*frame)->payload);
    if (!message) co_return message.error();
    if (message->has_pong() && pong_due) {
      pong_due.reset();
    } else if (message->has_guest_event()) {
      auto taken = co_await TakeGuestEvent(channel, message->guest_event());
      if (!taken) co_return taken.error();
    } else {
      co_return Error{"agent", EPROTO, "the agent said something unasked", {}};
    }
  }
}

awaitable<Result<>> ShimInstance::TakeGuestEvent(wire::Channel& channel,
                                                 const v1::GuestEvent& event) {
  if (auto good = guest::CheckGuestEvent(event); !good) co_return good;
  if (!(event.has_health_changed() ? health_bells_ : guest_events_).Allow()) {
    co_return Fail("guest-event", E2BIG, "the guest tells more events than it may");
  }
  if (event.has_going_down()) {
    view_.guest_exit = lifecycle::FromClaim(event.going_down());
    Changed();
  } else if (event.has_configure_refused()) {
    const auto& refused = event.configure_refused();
    const std::string errnum = refused.errnum() != 0 ? ErrnoName(refused.errnum()) + ": " : "";
    view_.configure_refused = errnum + Printable(refused.mistakes(), wire::kMaxMistakesBytes);
    ++view_.configure_refusals;
    Changed();
  } else if (event.has_oom_kill()) {
    TakeOomKill(event.seq(), event.oom_kill());
  } else if (event.has_thawed_in_time()) {
    ++view_.thaws;
    Changed();
  } else if (event.has_health_changed()) {
    MakeDue(kFetchHealth);
  }
  // Acknowledged also where it is of a kind that we do not know: it has been heard.
  v1::Envelope ack;
  ack.mutable_guest_event_ack()->set_seq(event.seq());
  co_return co_await channel.Write(ack, Deadline::In(wire::kCallTimeout));
}

// Those that wait to be noted.
static constexpr size_t kMaxOomKills = 16;

void ShimInstance::TakeOomKill(uint64_t seq, const v1::OomKill& kill) {
  if (seq <= last_oom_seq_) return;
  last_oom_seq_ = seq;
  view_.oom_kills.push_back(guest::ExplainOomKill(kill));
  if (view_.oom_kills.size() > kMaxOomKills) view_.oom_kills.pop_front();
  ++view_.oom_kill_count;
  Changed();
}

Fault ShimInstance::WithAgent(Fault fault) const {
  if (view_.agent == AgentState::kLost) {
    fault.detail += " (the agent is lost: " + view_.agent_why + ")";
  }
  return fault;
}

awaitable<Outcome<v1::Envelope>> ShimInstance::Call(v1::Envelope request, uint32_t since,
                                                    v1::Envelope::BodyCase answer,
                                                    Deadline deadline) {
  auto reply = co_await guest::Call(executor_, paths_.VsockSocket(), std::move(request), since,
                                    answer, deadline);
  if (reply) co_return std::move(*reply);
  // What the guest refused is one thing, that it cannot be reached another.
  const Error& error = reply.error();
  co_return std::unexpected(
      WithAgent({error.step.name() == "guest" ? Kind::kFailed : Kind::kAgentUnreachable,
                 std::string(error.step.name()), error.errnum, error.detail, error.hint}));
}

awaitable<Result<>> ShimInstance::AskGuestToPowerOff(std::chrono::milliseconds grace,
                                                     Deadline deadline) {
  co_return co_await guest::Shutdown(executor_, paths_.VsockSocket(), v1::Shutdown::POWER_OFF,
                                     static_cast<uint64_t>(grace.count()), deadline);
}

awaitable<Outcome<UniqueFd>> ShimInstance::OpenStream(v1::Envelope request, Deadline deadline) {
  auto socket = co_await guest::Dial(executor_, paths_.VsockSocket(), wire::kAgentPort, deadline);
  Result<> opened;
  if (!socket) {
    opened = std::unexpected(socket.error());
  } else {
    const auto bytes = guest::EncodeOpening(request);
    if (!bytes) {
      co_return std::unexpected(ToFault(Kind::kFailed, bytes.error()));
    }
    wire::Channel channel(std::move(*socket));
    opened = co_await channel.WriteBytes(std::as_bytes(std::span(*bytes)), deadline);
    if (opened) {
      boost::system::error_code code;
      const int fd = channel.socket().release(code);
      if (!code) co_return UniqueFd(fd);
      opened = std::unexpected(wire::FromAsio("stream", code));
    }
  }
  co_return std::unexpected(WithAgent(ToFault(Kind::kAgentUnreachable, opened.error())));
}

}  // namespace berth::daemon
