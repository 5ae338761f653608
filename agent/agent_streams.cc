// SPDX-License-Identifier: Apache-2.0
//
// The agent's streams: connections that are one thing for the rest of their life; and what there is
// to say of the sessions among them.
#include <algorithm>
#include <utility>

#include "agent/agent.h"
#include "agent/copy_session.h"
#include "agent/exec_request.h"
#include "protocol/base/clock.h"
#include "protocol/base/text.h"

namespace berth::agent {

namespace asio = boost::asio;

asio::awaitable<Result<>> Agent::ServeLogFollow(std::unique_ptr<wire::Channel> channel,
                                                const v1::Envelope& request, std::string greeting) {
  co_return co_await logs_.Serve(std::move(channel), request.log_follow(), std::move(greeting));
}

asio::awaitable<Result<>> Agent::ServeExec(std::unique_ptr<wire::Channel> channel,
                                           const v1::Envelope& request, std::string greeting) {
  const v1::ExecStart& start = request.exec_start();
  oom_watch_.TakeNow();
  const uint64_t oom_kills = oom_watch_.kills();
  Result<ExecChild> child = Fail("exec", ESHUTDOWN, "the guest is shutting down");
  if (!shutting_down_) {
    if (const auto good = CheckExecStart(start); !good) {
      child = std::unexpected(good.error());
    } else if (const auto room = start.detach() ? MakeRoomForDetachable() : Result<>(); !room) {
      child = std::unexpected(room.error());
    } else {
      child = StartExec(start, defaults_, cgroups_);
    }
  }
  // A program that cannot be started is the host's to report, not the guest's to log.
  if (!child) co_return co_await WriteFailure(*channel, greeting, child.error());
  const auto session = sessions_.insert(
      sessions_.end(), std::make_shared<ExecSession>(std::move(channel), std::move(*child), start,
                                                     pool_, oom_watch_, oom_kills));
  try {
    co_await (*session)->Run(std::move(greeting));
  } catch (...) {
    sessions_.erase(session);
    throw;
  }
  sessions_.erase(session);
  co_return Result<>{};
}

asio::awaitable<Result<>> Agent::ServeAttach(std::unique_ptr<wire::Channel> channel,
                                             const v1::Envelope& request, std::string greeting) {
  const v1::ExecAttach& attach = request.exec_attach();
  auto session = FindSession(attach.session());
  if (session && !(*session)->detachable()) {
    session =
        Fail("attach", EPERM, "session " + (*session)->id() + " was not started to be attached to",
             "start it with --detach");
  }
  if (session &&
      (attach.rows() > wire::kMaxWindowCells || attach.columns() > wire::kMaxWindowCells)) {
    session = Fail("attach", EINVAL, "a terminal of an impossible size");
  }
  if (!session) co_return co_await WriteFailure(*channel, greeting, session.error());
  (*session)->Attach(std::move(channel), greeting, attach);
  co_return Result<>{};
}

asio::awaitable<Result<v1::Envelope>> Agent::AnswerSessions(wire::Channel& /*channel*/,
                                                            const v1::Envelope& request) {
  const v1::SessionsCall& call = request.sessions_call();
  v1::Envelope answer;
  v1::SessionsReply& reply = *answer.mutable_sessions_reply();
  reply.set_monotonic_us(ToMicroseconds(MonotonicNs()));
  if (call.verb() == v1::SessionsCall::LIST) {
    for (const auto& session : sessions_) *reply.add_sessions() = session->Row();
    co_return answer;
  }
  const auto session = FindSession(call.session());
  if (!session) co_return std::unexpected(session.error());
  if (call.verb() == v1::SessionsCall::END) {
    (*session)->End();
  } else if (call.verb() == v1::SessionsCall::SIGNAL && call.signal() >= 1 &&
             call.signal() <= static_cast<uint32_t>(wire::kMaxSignal)) {
    (*session)->Signal(static_cast<int>(call.signal()));
  } else {
    co_return Fail("session", EINVAL, "an unknown verb or signal");
  }
  co_return answer;
}

Result<std::shared_ptr<ExecSession>> Agent::FindSession(const std::string& id) const {
  const auto found = std::ranges::find(sessions_, id, [](const auto& each) { return each->id(); });
  if (found != sessions_.end()) return *found;
  return Fail("session", ESRCH, "there is no session " + Printable(id, wire::kSessionIdBytes),
              "it may have ended an hour ago, or with its agent: see the list of sessions");
}

Result<> Agent::MakeRoomForDetachable() {
  const auto counts = [](const auto& each) { return each->detachable() && !each->done(); };
  if (std::ranges::count_if(sessions_, counts) < wire::kMaxDetachable) return {};
  const auto ended = std::ranges::find_if(
      sessions_, [&](const auto& each) { return counts(each) && each->ended(); });
  if (ended == sessions_.end()) {
    return Fail("exec", EAGAIN,
                std::to_string(wire::kMaxDetachable) + " detached sessions run already",
                "end one of them");
  }
  (*ended)->End();
  return {};
}

asio::awaitable<Result<>> Agent::ServeCopy(std::unique_ptr<wire::Channel> channel,
                                           const v1::Envelope& request, std::string greeting) {
  if (copies_ >= wire::kMaxCopies) {
    const Error error{"copy", EAGAIN,
                      "this guest has " + std::to_string(copies_) + " copies to make already",
                      "wait for one of them, or end it"};
    co_return co_await WriteFailure(*channel, greeting, error);
  }
  const bool writes = request.copy_start().direction() == v1::CopyStart::TO_GUEST;
  if (writes && freezer_.holds_writes()) {
    // Its first write would hold the agent's only thread, and nobody could thaw any more.
    const Error error{"copy", EBUSY, "this guest's file systems are frozen", "thaw them first"};
    co_return co_await WriteFailure(*channel, greeting, error);
  }
  ++copies_;
  writers_ += writes ? 1 : 0;
  // No destructor gives the place back: a frame may outlive the agent, whose context ends with it
  // inside.
  const auto leave = [this, writes] {
    --copies_;
    writers_ -= writes ? 1 : 0;
  };
  try {
    auto copied = co_await RunCopy(*channel, request.copy_start(), std::move(greeting));
    leave();
    co_return copied;
  } catch (...) {
    leave();
    throw;
  }
}

asio::awaitable<Result<>> Agent::ServeForward(std::unique_ptr<wire::Channel> channel,
                                              const v1::Envelope& request, std::string greeting) {
  if (forwards_ >= kMaxForwards) {
    const Error error{"forward", EAGAIN,
                      "the guest has " + std::to_string(kMaxForwards) + " forwarded connections",
                      "end some of them"};
    co_return co_await WriteFailure(*channel, greeting, error);
  }
  // It changes its place: from here on it is none of those that sessions wait for.
  ++forwards_;
  --connections_;
  freed_.Notify();
  // No destructor does this: a frame may outlive the agent, whose context ends with it inside.
  const auto leave = [this] {
    --forwards_;
    ++connections_;
  };
  try {
    auto served = co_await RunForward(std::move(channel), request.forward(), std::move(greeting));
    leave();
    co_return served;
  } catch (...) {
    leave();
    throw;
  }
}

asio::awaitable<Result<>> Agent::RunForward(std::unique_ptr<wire::Channel> channel,
                                            const v1::Forward& request, std::string greeting) {
  auto addresses = ForwardAddresses(request);
  Result<UniqueFd> target = UniqueFd();
  if (!addresses) {
    target = std::unexpected(addresses.error());
  } else if (channel->HasUnreadBytes()) {
    target = Fail("forward", EPROTO, "the host did not wait for Forwarded");
  } else {
    target = co_await ConnectForward(context_.get_executor(), std::move(*addresses),
                                     Deadline::In(wire::kForwardTimeout));
  }
  // What cannot be reached is the host's to report, not the guest's to log.
  if (!target) co_return co_await WriteFailure(*channel, greeting, target.error());
  v1::Envelope answer;
  answer.mutable_forwarded();
  const auto encoded = wire::EncodeMessage(answer);
  if (!encoded) co_return std::unexpected(encoded.error());
  greeting += *encoded;
  auto sent = co_await channel->WriteBytes(std::as_bytes(std::span(greeting)),
                                           Deadline::In(wire::kCallTimeout));
  if (!sent) co_return sent;
  const auto session = forward_sessions_.insert(
      forward_sessions_.end(),
      std::make_shared<ForwardSession>(std::move(channel), std::move(*target), relay_pool_));
  try {
    co_await (*session)->Run();
  } catch (...) {
    forward_sessions_.erase(session);
    throw;
  }
  forward_sessions_.erase(session);
  co_return Result<>{};
}

}  // namespace berth::agent
