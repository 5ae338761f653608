// SPDX-License-Identifier: Apache-2.0
//
// The part of a ShimInstance that speaks with the guest. Everything that comes from there is a
// claim: it is bounded by protocol/wire and made printable before it is kept.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "protocol/base/log.h"
#include "protocol/wire/limits.h"
#include "supervisor/daemon/shim_instance.h"
#include "supervisor/guest/call.h"
#include "supervisor/guest/dial.h"
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

std::string Hex(const std::string& bytes) {
  std::string text;
  for (const char c : bytes.substr(0, 16)) text += fmt::format("{:02x}", static_cast<uint8_t>(c));
  return text;
}

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
      self->view_.refused = ToFault(Kind::kStartFailed, report.error());
      self->Changed();
    } else if (report.error().errnum != ETIMEDOUT && limiter.Allow()) {
      spdlog::warn("{}: Ready: {}", self->paths_.dir, report.error().Message());
    }
    co_await self->woken_.Wait(Deadline::In(kReadyPause));
  }
}

void ShimInstance::TakeReady(const guest::ReadyReport& report) {
  const auto printable = [](const std::string& text) {
    return lifecycle::Printable(text, wire::kMaxNameBytes);
  };
  lifecycle::GuestReady ready;
  ready.generation = report.generation;
  ready.build_id = printable(report.hello.build_id());
  ready.boot_id = Hex(report.hello.boot_id());
  ready.instance_id = Hex(report.hello.instance_id());
  ready.kernel_release = printable(report.ready.kernel_release());
  ready.agent_starts = report.ready.agent_starts();
  for (const auto& phase : report.ready.phases()) {
    ready.phases.push_back({printable(phase.name()), static_cast<int64_t>(phase.monotonic_us())});
  }
  ready.sent_guest_us = static_cast<int64_t>(report.ready.sent_monotonic_us());
  ready.received_monotonic_ns = report.received_monotonic_ns;
  view_.ready = std::move(ready);
  view_.agent = AgentState::kUp;
  view_.agent_why.clear();
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
    const Error why = co_await self->HoldAgent();
    const bool was_up = self->view_.agent == AgentState::kUp;
    if (over()) co_return;
    // A guest that stands still answers nothing, and is not dead.
    if (self->view_.paused) continue;
    // The loss of a connection may be the vsock device's: the agent is lost when it cannot be
    // reached again, or has another name then.
    if (self->view_.ready->instance_id == known) self->SetAgent(AgentState::kLost, why.Message());
    retry = was_up ? kFirstRetry : std::min<std::chrono::nanoseconds>(retry * 2, kSlowestRetry);
    const Deadline again = Deadline::In(retry);
    while (!over() && !again.Passed() && self->view_.ready->instance_id == known) {
      co_await self->woken_.Wait(again);
    }
  }
}

awaitable<Result<>> ShimInstance::PingAgent(wire::Channel& channel, bool first) {
  const Deadline deadline = Deadline::In(wire::kCallTimeout);
  v1::Envelope ping;
  ping.mutable_ping()->set_payload("berthd");
  v1::Envelope pong;
  if (first) {
    if (auto opened = co_await guest::Open(channel, ping, deadline); !opened) co_return opened;
    auto answer = co_await guest::ReadFirstAnswer(channel, deadline);
    if (!answer) co_return std::unexpected(answer.error());
    pong = std::move(answer->message);
  } else {
    const auto bytes = wire::EncodeMessage(ping);
    if (!bytes) co_return std::unexpected(bytes.error());
    auto written = co_await channel.WriteBytes(std::as_bytes(std::span(*bytes)), deadline);
    if (!written) co_return written;
    auto answer = co_await channel.ReadMessage(deadline);
    if (!answer) co_return std::unexpected(answer.error());
    pong = std::move(*answer);
  }
  if (!pong.has_pong()) co_return Fail("ping", EPROTO, "the agent answered something else");
  co_return Result<>{};
}

awaitable<Error> ShimInstance::HoldAgent() {
  auto socket = co_await guest::Dial(executor_, paths_.VsockSocket(), wire::kAgentPort,
                                     Deadline::In(wire::kCallTimeout));
  if (!socket) co_return socket.error();
  const auto channel = std::make_shared<wire::Channel>(std::move(*socket));
  if (down_) co_return Error{"ping", ECANCELED, {}, {}};
  agent_ = channel;
  for (bool first = true;; first = false) {
    if (auto alive = co_await PingAgent(*channel, first); !alive) {
      agent_.reset();
      co_return alive.error();
    }
    SetAgent(AgentState::kUp, {});
    const auto frame = co_await channel->Read(Deadline::In(kPingInterval));
    if (!frame && frame.error().errnum == ETIMEDOUT) continue;
    agent_.reset();
    if (!frame) co_return frame.error();
    if (!*frame) co_return Error{"agent", ECONNRESET, "the agent's connection has ended", {}};
    co_return Error{"agent", EPROTO, "the agent said something unasked", {}};
  }
}

awaitable<Result<>> ShimInstance::AskGuestToPowerOff(std::chrono::milliseconds grace,
                                                     Deadline deadline) {
  co_return co_await guest::Shutdown(executor_, paths_.VsockSocket(), v1::Shutdown::POWER_OFF,
                                     static_cast<uint64_t>(grace.count()), deadline);
}

awaitable<Outcome<UniqueFd>> ShimInstance::OpenExec(v1::ExecStart start, Deadline deadline) {
  v1::Envelope request;
  *request.mutable_exec_start() = std::move(start);
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
      opened = std::unexpected(wire::FromAsio("exec", code));
    }
  }
  Fault fault = ToFault(Kind::kAgentUnreachable, opened.error());
  if (view_.agent == AgentState::kLost)
    fault.detail += " (the agent is lost: " + view_.agent_why + ")";
  co_return std::unexpected(std::move(fault));
}

}  // namespace berth::daemon
