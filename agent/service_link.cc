// SPDX-License-Identifier: Apache-2.0
#include "agent/service_link.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>
#include <utility>

#include "protocol/base/text.h"
#include "protocol/wire/channel.h"
#include "protocol/wire/expiry.h"
#include "protocol/wire/limits.h"

namespace berth::agent {

namespace asio = boost::asio;

namespace {

template <size_t size>
std::string Text(const char (&field)[size]) {
  return Utf8(std::string_view(field, strnlen(field, size)));
}

v1::ServiceReply::Service ToMessage(const ServiceRow& row) {
  v1::ServiceReply::Service service;
  service.set_name(Text(row.name));
  service.set_state(static_cast<v1::ServiceReply::Service::State>(row.state));
  service.set_health(static_cast<v1::ServiceReply::Service::Health>(row.health));
  service.set_pid(static_cast<uint32_t>(std::max(row.pid, 0)));
  service.set_restarts(row.restarts);
  if (row.exit_signal > 0) {
    service.set_signal(static_cast<uint32_t>(row.exit_signal));
  } else if (row.exit_code >= 0) {
    service.set_code(static_cast<uint32_t>(row.exit_code));
  }
  service.set_main(row.main != 0);
  service.set_oneshot(row.oneshot != 0);
  service.set_wanted_us(ToMicroseconds(row.wanted_ns));
  service.set_start_us(ToMicroseconds(row.start_ns));
  service.set_ready_us(ToMicroseconds(row.ready_ns));
  service.set_restart_us(ToMicroseconds(row.restart_ns));
  service.set_first_ready_us(ToMicroseconds(row.first_ready_ns));
  service.set_waits_for(Text(row.waits_for));
  service.set_detail(Text(row.detail));
  return service;
}

}  // namespace

Result<> ServiceLink::Ask(const std::string& path, ServiceRequest request, std::string_view text) {
  if (text.size() > kMaxConfigureBytes) return Fail("service", EMSGSIZE, "the text is too long");
  request.text_bytes = static_cast<uint32_t>(text.size());
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return Fail("service", ENAMETOOLONG, path);
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return ErrnoError("service", "socket");
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) {
      return ErrnoError("service", path, "berth-init is not PID 1 of this guest");
    }
    return ErrnoError("service", path);
  }
  iovec parts[] = {{&request, sizeof(request)}, {const_cast<char*>(text.data()), text.size()}};
  msghdr packet = {};
  packet.msg_iov = parts;
  packet.msg_iovlen = text.empty() ? 1 : 2;
  // EPIPE: PID 1 has refused us at the door, and its reason waits to be read.
  if (sendmsg(fd.get(), &packet, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EPIPE) {
    return ErrnoError("service", "the request to PID 1");
  }
  boost::system::error_code code;
  socket_.assign(fd.get(), code);
  if (code) return std::unexpected(wire::FromAsio("service", code));
  // The descriptor is the socket's from here on.
  [[maybe_unused]] const int owned = fd.Release();
  return {};
}

asio::awaitable<Result<ServiceOutcome>> ServiceLink::ReadAnswer(Deadline deadline) {
  ServiceOutcome outcome;
  wire::Expiry expiry(socket_.get_executor());
  static_assert(sizeof(ServiceRow) != sizeof(ServiceAnswer), "a packet's size is its kind");
  union {
    ServiceRow row;
    ServiceAnswer answer;
  } packet = {};
  for (bool reset = false;;) {
    if (!socket_.is_open()) co_return Fail("service", ECANCELED, "nobody waits for PID 1");
    const ssize_t n =
        recv(socket_.native_handle(), &packet, sizeof(packet), MSG_DONTWAIT | MSG_TRUNC);
    if (n == static_cast<ssize_t>(sizeof(ServiceAnswer))) {
      outcome.answer = packet.answer;
      co_return outcome;
    }
    if (n == static_cast<ssize_t>(sizeof(ServiceRow))) {
      if (outcome.rows.size() < static_cast<size_t>(wire::kMaxServices)) {
        outcome.rows.push_back(packet.row);
      }
      continue;
    }
    if (n == 0) co_return Fail("service", ECONNRESET, "PID 1 closed without an answer");
    if (n > 0 || errno == EINTR) continue;  // of another size: not ours
    // Refused behind our request: the kernel tells of that first, then hands the reason out.
    if (errno == ECONNRESET && !std::exchange(reset, true)) continue;
    if (errno != EAGAIN) co_return ErrnoError("service", "the answer of PID 1");
    expiry.Arm(deadline, socket_);
    boost::system::error_code code;
    co_await socket_.async_wait(asio::posix::stream_descriptor::wait_read,
                                asio::redirect_error(asio::use_awaitable, code));
    if (expiry.Disarm()) co_return Fail("service", ETIMEDOUT, "PID 1 did not answer in time");
    if (code) co_return std::unexpected(wire::FromAsio("service", code));
  }
}

void ServiceLink::Cancel() {
  boost::system::error_code ignored;
  socket_.close(ignored);
}

Result<ServiceRequest> ToRequest(const v1::ServiceCall& call) {
  constexpr uint64_t kMaxMs =
      std::chrono::duration_cast<std::chrono::milliseconds>(wire::kMaxServiceTimeout).count();
  // The two enums have the same numbers, but for those that the host has no business with.
  static_assert(static_cast<int>(ServiceVerb::kList) == v1::ServiceCall::LIST &&
                static_cast<int>(ServiceVerb::kReload) == v1::ServiceCall::RELOAD);
  if (!v1::ServiceCall::Verb_IsValid(call.verb()) || call.verb() == v1::ServiceCall::VERB_NONE) {
    return Fail("service", EINVAL, "an unknown verb");
  }
  const bool names_one = call.verb() != v1::ServiceCall::LIST;
  if (call.name().empty() == names_one || call.name().size() > wire::kMaxServiceNameBytes ||
      call.name().find('\0') != std::string::npos || call.timeout_ms() > kMaxMs) {
    return Fail("service", EINVAL, "an impossible name or timeout");
  }
  ServiceRequest request{.verb = static_cast<ServiceVerb>(call.verb()),
                         .timeout_ms = static_cast<int64_t>(call.timeout_ms())};
  if (request.timeout_ms == 0) {
    request.timeout_ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(wire::kDefaultServiceTimeout).count();
  }
  std::memcpy(request.name, call.name().data(), call.name().size());
  return request;
}

v1::ServiceReply ToReply(const ServiceOutcome& outcome) {
  v1::ServiceReply reply;
  reply.set_errnum(outcome.answer.errnum);
  reply.set_message(Text(outcome.answer.message));
  reply.set_monotonic_us(ToMicroseconds(MonotonicNs()));
  for (const ServiceRow& row : outcome.rows) *reply.add_services() = ToMessage(row);
  return reply;
}

}  // namespace berth::agent
