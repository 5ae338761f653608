// SPDX-License-Identifier: Apache-2.0
//
// The part of a ShimInstance that tends a guest of generation 3: tells it the checks of its VM's
// spec, keeps its health, sets its clock and feeds its random pool. Each is due when the agent's
// connection comes up, and when something happens that makes it so; what fails is due again.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "protocol/base/text.h"
#include "protocol/wire/handshake.h"
#include "protocol/wire/limits.h"
#include "supervisor/daemon/shim_instance.h"
#include "supervisor/guest/call.h"
#include "supervisor/guest/tend.h"
#include "supervisor/lifecycle/evidence.h"

namespace berth::daemon {

namespace asio = boost::asio;
using asio::awaitable;
using lifecycle::AgentState;
using lifecycle::ClockAction;
using lifecycle::ClockReport;
using lifecycle::Kind;
using lifecycle::Outcome;

namespace {

constexpr auto kFirstTendRetry = std::chrono::seconds(1);
constexpr auto kSlowestTendRetry = std::chrono::minutes(1);

}  // namespace

void ShimInstance::MakeDue(uint32_t what) {
  due_ |= what;
  woken_.NotifyAll();
}

awaitable<void> ShimInstance::TendGuest(Self self) {
  const auto over = [&] { return self->down_ || self->view_.Ended(); };
  const auto can = [&] {
    return self->view_.agent == AgentState::kUp && !self->view_.paused &&
           self->agent_generation_ >= wire::kOperatorGeneration;
  };
  std::chrono::nanoseconds retry = kFirstTendRetry;
  // A clock that nobody steps drifts, and a machine that was held still says so to nobody.
  Deadline clock_due = Deadline::In(self->clock_interval_);
  while (!over()) {
    if (clock_due.Passed()) {
      clock_due = Deadline::In(self->clock_interval_);
      self->due_ |= kClock;
    }
    if (self->due_ == 0 || !can()) {
      co_await self->woken_.Wait(clock_due);
      continue;
    }
    const bool with_clock = (self->due_ & kClock) != 0;
    const uint32_t left = co_await self->Tend(std::exchange(self->due_, 0));
    if (with_clock) clock_due = Deadline::In(self->clock_interval_);
    self->due_ |= left;
    retry = left == 0 ? kFirstTendRetry
                      : std::min<std::chrono::nanoseconds>(retry * 2, kSlowestTendRetry);
    // Also where all went well: a guest whose checks flap is looked at so often and no more.
    const Deadline again = Deadline::In(left == 0 ? wire::kHealthBellPause : retry);
    while (!over() && !again.Passed()) co_await self->woken_.Wait(again);
  }
}

awaitable<uint32_t> ShimInstance::Tend(uint32_t due) {
  uint32_t left = 0;
  // The clock first: what comes behind it may look at it.
  for (const Due each : {kClock, kReseed, kConfigureHealth, kFetchHealth}) {
    if ((due & each) == 0) continue;
    const auto done = co_await TendOne(each);
    if (done) continue;
    spdlog::warn("{}: {}", paths_.dir, done.error().Message());
    // What the guest cannot do it cannot do the next time either.
    if (done.error().errnum != EPROTONOSUPPORT && done.error().step.name() != "guest") left |= each;
  }
  co_return left;
}

awaitable<Result<>> ShimInstance::TendOne(Due what) {
  const Deadline deadline = Deadline::In(wire::kCallTimeout);
  v1::Envelope request;
  if (what == kClock) {
    auto set = co_await SetClock(ClockAction::kSetWhereOff, deadline);
    if (!set) co_return std::unexpected(set.error());
    clock_interval_ = lifecycle::NextClockLook(clock_interval_, set->stepped);
    co_return Result<>{};
  }
  if (what == kFetchHealth) co_return co_await FetchHealth(deadline);
  if (what == kConfigureHealth) {
    *request.mutable_health_configure() = guest::ToHealthConfigure(health_checks_);
  } else {
    auto reseed = guest::MakeReseed();
    if (!reseed) co_return std::unexpected(reseed.error());
    *request.mutable_reseed() = std::move(*reseed);
  }
  const auto answer = co_await guest::Call(
      executor_, paths_.VsockSocket(), std::move(request), wire::kOperatorGeneration,
      what == kReseed ? v1::Envelope::kReseeded : v1::Envelope::kHealthConfigured, deadline);
  if (!answer) co_return std::unexpected(answer.error());
  co_return Result<>{};
}

awaitable<Result<>> ShimInstance::FetchHealth(Deadline deadline) {
  v1::Envelope request;
  request.mutable_health_call();
  const auto answer =
      co_await guest::Call(executor_, paths_.VsockSocket(), std::move(request),
                           wire::kOperatorGeneration, v1::Envelope::kHealthReply, deadline);
  if (!answer) co_return std::unexpected(answer.error());
  if (auto good = guest::CheckHealthReply(answer->health_reply()); !good) co_return good;
  view_.health.rows = lifecycle::RowsOf(answer->health_reply());
  ++view_.health.version;
  Changed();
  co_return Result<>{};
}

awaitable<Result<ClockReport>> ShimInstance::SetClock(ClockAction action, Deadline deadline) {
  const auto look = co_await guest::LookAtClock(executor_, paths_.VsockSocket(), deadline);
  if (!look) co_return std::unexpected(look.error());
  ClockReport report{.offset_ns = look->offset.offset_ns,
                     .error_ns = look->offset.error_ns,
                     .own_time = look->own_time};
  const int64_t threshold =
      std::max(report.error_ns, action == ClockAction::kSet
                                    ? int64_t{0}
                                    : std::chrono::nanoseconds(wire::kClockStepThreshold).count());
  const bool off = std::abs(report.offset_ns) > threshold;
  if (action == ClockAction::kLook || !off || (report.own_time && action != ClockAction::kSet)) {
    co_return report;
  }
  v1::Envelope request;
  request.mutable_clock_step()->set_delta_ns(-report.offset_ns);
  request.mutable_clock_step()->set_error_ns(static_cast<uint64_t>(report.error_ns));
  const auto answer =
      co_await guest::Call(executor_, paths_.VsockSocket(), std::move(request),
                           wire::kOperatorGeneration, v1::Envelope::kClockStepped, deadline);
  if (!answer) co_return std::unexpected(answer.error());
  report.stepped = answer->clock_stepped().done();
  if (!report.stepped) {
    report.why = Printable(answer->clock_stepped().why(), wire::kMaxHealthTextBytes);
  }
  view_.clock = report;
  ++view_.clock_reports;
  Changed();
  co_return report;
}

awaitable<Outcome<ClockReport>> ShimInstance::LookAtClock(ClockAction action, Deadline deadline) {
  const Self self = shared_from_this();
  auto report = co_await SetClock(action, deadline);
  if (report) co_return std::move(*report);
  co_return std::unexpected(WithAgent(
      ToFault(report.error().step.name() == "guest" ? Kind::kFailed : Kind::kAgentUnreachable,
              report.error())));
}

}  // namespace berth::daemon
