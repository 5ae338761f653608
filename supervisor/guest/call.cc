// SPDX-License-Identifier: Apache-2.0
#include "supervisor/guest/call.h"

#include <algorithm>

#include "protocol/base/text.h"
#include "protocol/wire/handshake.h"
#include "protocol/wire/limits.h"
#include "supervisor/guest/dial.h"

namespace berth::guest {

namespace asio = boost::asio;

Result<std::string> EncodeOpening(const v1::Envelope& request) {
  v1::Envelope hello;
  *hello.mutable_hello() = wire::MakeHello({}, {});
  BERTH_ASSIGN(std::string bytes, wire::EncodeMessage(hello));
  BERTH_ASSIGN(const std::string opening, wire::EncodeMessage(request));
  return bytes + opening;
}

asio::awaitable<Result<>> Open(wire::Channel& channel, const v1::Envelope& request,
                               Deadline deadline) {
  const auto bytes = EncodeOpening(request);
  if (!bytes) co_return std::unexpected(bytes.error());
  co_return co_await channel.WriteBytes(std::as_bytes(std::span(*bytes)), deadline);
}

Result<uint32_t> CheckGuestHello(const v1::Envelope& first) {
  if (!first.has_hello()) {
    return Fail("handshake", EPROTO, "the guest's first message is not Hello",
                "something other than berth-agent answers in the guest");
  }
  return wire::Negotiate(wire::MakeHello({}, {}), first.hello());
}

asio::awaitable<Result<GuestHello>> ReadHello(wire::Channel& channel, Deadline deadline) {
  auto first = co_await channel.ReadMessage(deadline);
  if (!first) co_return std::unexpected(first.error());
  const auto generation = CheckGuestHello(*first);
  if (!generation) co_return std::unexpected(generation.error());
  co_return GuestHello{std::move(*first->mutable_hello()), *generation};
}

asio::awaitable<Result<v1::Envelope>> ReadAnswer(wire::Channel& channel, Deadline deadline) {
  auto message = co_await channel.ReadMessage(deadline);
  if (message && message->has_failure()) {
    co_return std::unexpected(wire::FromFailure(message->failure()));
  }
  co_return message;
}

asio::awaitable<Result<PingReply>> Ping(asio::any_io_executor executor,
                                        std::string vsock_socket_path, Deadline deadline) {
  v1::Envelope request;
  request.mutable_ping()->set_payload("berth");
  auto socket = co_await Dial(executor, std::move(vsock_socket_path), wire::kAgentPort, deadline);
  if (!socket) co_return std::unexpected(socket.error());
  wire::Channel channel(std::move(*socket));
  const int64_t asked_ns = MonotonicNs();
  if (auto opened = co_await Open(channel, request, deadline); !opened) {
    co_return std::unexpected(opened.error());
  }
  auto hello = co_await ReadHello(channel, deadline);
  if (!hello) co_return std::unexpected(hello.error());
  const auto answer = co_await ReadAnswer(channel, deadline);
  if (!answer) co_return std::unexpected(answer.error());
  if (!answer->has_pong() || answer->pong().payload() != request.ping().payload()) {
    co_return Fail("ping", EPROTO, "the guest answered something else than our ping");
  }
  co_return PingReply{std::move(hello->hello), answer->pong().monotonic_us(),
                      MonotonicNs() - asked_ns};
}

asio::awaitable<Result<v1::Envelope>> Call(asio::any_io_executor executor, std::string path,
                                           v1::Envelope request, uint32_t since,
                                           v1::Envelope::BodyCase answer, Deadline deadline) {
  auto socket = co_await Dial(executor, std::move(path), wire::kAgentPort, deadline);
  if (!socket) co_return std::unexpected(socket.error());
  wire::Channel channel(std::move(*socket));
  if (auto opened = co_await Open(channel, request, deadline); !opened) {
    co_return std::unexpected(opened.error());
  }
  const auto hello = co_await ReadHello(channel, deadline);
  if (!hello) co_return std::unexpected(hello.error());
  if (hello->generation < since) {
    // As if it had said so: an agent that old only says that it does not know the call.
    co_return Fail("guest", EPROTONOSUPPORT,
                   "its agent (build " + Printable(hello->hello.build_id(), wire::kMaxNameBytes) +
                       ") speaks protocol generation " + std::to_string(hello->generation) +
                       ", which has no such call",
                   "rebuild its image with this release");
  }
  auto message = co_await ReadAnswer(channel, deadline);
  if (message && message->body_case() != answer) {
    co_return Fail("call", EPROTO, "the guest answered something else than our call");
  }
  co_return message;
}

asio::awaitable<Result<>> Shutdown(asio::any_io_executor executor, std::string vsock_socket_path,
                                   v1::Shutdown::Mode mode, uint64_t grace_ms, Deadline deadline) {
  v1::Envelope request;
  request.mutable_shutdown()->set_mode(mode);
  request.mutable_shutdown()->set_grace_ms(grace_ms);
  const auto answer = co_await Call(executor, std::move(vsock_socket_path), std::move(request),
                                    wire::kOldestGeneration, v1::Envelope::kShutdownAck, deadline);
  if (!answer) co_return std::unexpected(answer.error());
  co_return Result<>{};
}

Result<> CheckServiceReply(const v1::ServiceReply& reply) {
  if (reply.services_size() > wire::kMaxServices) {
    return Fail("service", E2BIG, "more services than " + std::to_string(wire::kMaxServices));
  }
  constexpr uint32_t kMaxInt = INT32_MAX;
  constexpr uint32_t kSignals = 65;  // NSIG
  const auto fits = [&](const v1::ServiceReply::Service& row) {
    return row.name().size() <= wire::kMaxServiceNameBytes &&
           row.waits_for().size() <= wire::kMaxServiceNameBytes &&
           row.detail().size() <= wire::kMaxServiceTextBytes && row.restarts() <= kMaxInt &&
           row.pid() <= kMaxInt && row.code() <= 255 && row.signal() < kSignals &&
           wire::FitsClock(row.wanted_us()) && wire::FitsClock(row.start_us()) &&
           wire::FitsClock(row.ready_us()) && wire::FitsClock(row.restart_us()) &&
           wire::FitsClock(row.first_ready_us());
  };
  if (!wire::IsErrno(reply.errnum()) || !wire::FitsClock(reply.monotonic_us()) ||
      reply.message().size() > wire::kMaxServiceTextBytes ||
      !std::ranges::all_of(reply.services(), fits)) {
    return Fail("service", EMSGSIZE, "the guest's answer does not keep its bounds");
  }
  return {};
}

Result<> CheckSessionsReply(const v1::SessionsReply& reply) {
  const auto fits = [](const v1::SessionsReply::Session& row) {
    return row.id().size() <= wire::kSessionIdBytes &&
           row.command().size() <= wire::kMaxCommandBytes && row.pid() <= INT32_MAX &&
           row.code() <= 255 && row.signal() <= static_cast<uint32_t>(wire::kMaxSignal) &&
           wire::FitsClock(row.start_us()) && wire::FitsClock(row.end_us());
  };
  if (reply.sessions_size() > wire::kMaxSessions || !wire::FitsClock(reply.monotonic_us()) ||
      !std::ranges::all_of(reply.sessions(), fits)) {
    return Fail("session", EMSGSIZE, "the guest's answer does not keep its bounds");
  }
  return {};
}

Result<> CheckGuestEvent(const v1::GuestEvent& event) {
  if (event.going_down().name().size() > wire::kMaxServiceNameBytes ||
      event.configure_refused().mistakes().size() > wire::kMaxMistakesBytes ||
      event.oom_kill().process().size() > wire::kMaxStatsTextBytes ||
      event.oom_kill().cgroup().size() > wire::kMaxStatsTextBytes ||
      !wire::IsErrno(event.configure_refused().errnum())) {
    return Fail("guest-event", EMSGSIZE, "the guest's event does not keep its bounds");
  }
  return {};
}

}  // namespace berth::guest
