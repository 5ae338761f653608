// SPDX-License-Identifier: Apache-2.0
#include "agent/health_probe.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "agent/chores.h"
#include "agent/http_reply.h"
#include "protocol/base/text.h"
#include "protocol/wire/channel.h"
#include "protocol/wire/limits.h"

namespace berth::agent {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

using Endpoint = asio::generic::stream_protocol::endpoint;

std::string TimedOut(const HealthCheck& check) {
  return "timed out after " + std::to_string(check.timeout_ms) + " ms";
}

ProbeResult Failed(std::string text) {
  return {.success = false, .text = std::move(text), .output = {}, .left = {}};
}

Result<Endpoint> EndpointOf(const TcpTarget& target) {
  boost::system::error_code code;
  const auto address = asio::ip::make_address(target.address, code);
  if (code) return Fail("address", EINVAL, target.address);
  return Endpoint(asio::ip::tcp::endpoint(address, target.port));
}

// ETIMEDOUT at the deadline.
awaitable<Result<>> Connect(wire::Socket& socket, const Endpoint& endpoint, Deadline deadline) {
  boost::system::error_code code;
  socket.open(endpoint.protocol(), code);
  if (code) co_return std::unexpected(wire::FromAsio("connect", code));
  wire::Expiry expiry(socket.get_executor());
  expiry.Arm(deadline, socket);
  co_await socket.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, code));
  if (expiry.Disarm()) co_return Fail("connect", ETIMEDOUT, "");
  if (code) co_return std::unexpected(wire::FromAsio("connect", code));
  co_return Result<>{};
}

std::string Why(const HealthCheck& check, const Error& error) {
  if (error.errnum == ETIMEDOUT) return TimedOut(check);
  return std::string(error.step.name()) + ": " + ErrnoText(error.errnum) +
         (error.detail.empty() ? "" : ": " + error.detail);
}

awaitable<ProbeResult> ProbeTcp(wire::Socket& socket, const HealthCheck& check, Deadline deadline) {
  const auto target = ParseTcpTarget(check.target);
  if (!target) co_return Failed(target.error().detail);
  const auto endpoint = EndpointOf(*target);
  if (!endpoint) co_return Failed(endpoint.error().Message());
  const auto connected = co_await Connect(socket, *endpoint, deadline);
  if (!connected) co_return Failed(Why(check, connected.error()));
  co_return ProbeResult{.success = true, .text = "it accepts", .output = {}, .left = {}};
}

awaitable<Result<>> ReadReply(wire::Socket& socket, const HealthCheck& check, HttpReply& reply,
                              Deadline deadline) {
  const auto enough = [&] {
    if (!reply.has_head()) return false;
    const bool status_fits =
        reply.status() >= check.status_min && reply.status() <= check.status_max;
    return reply.done() || (status_fits && check.body.empty());
  };
  wire::Expiry expiry(socket.get_executor());
  std::string chunk(8192, '\0');
  while (!enough()) {
    boost::system::error_code code;
    expiry.Arm(deadline, socket);
    const size_t n = co_await socket.async_read_some(
        asio::buffer(chunk), asio::redirect_error(asio::use_awaitable, code));
    if (expiry.Disarm()) co_return Fail("http", ETIMEDOUT, "");
    if (code == asio::error::eof) co_return reply.TakeEnd();
    if (code) co_return std::unexpected(wire::FromAsio("http", code));
    if (auto taken = reply.Take(std::string_view(chunk).substr(0, n)); !taken) co_return taken;
  }
  co_return Result<>{};
}

ProbeResult Judge(const HealthCheck& check, const HttpReply& reply) {
  ProbeResult result{.success = false,
                     .text = "status " + std::to_string(reply.status()),
                     .output = reply.body().substr(0, wire::kMaxHealthOutputBytes),
                     .left = {}};
  if (reply.status() < check.status_min || reply.status() > check.status_max) {
    result.text += ", not ";
    result.text +=
        check.status_min == check.status_max
            ? std::to_string(check.status_min)
            : std::to_string(check.status_min) + " to " + std::to_string(check.status_max);
  } else if (!check.body.empty() && !reply.body().contains(check.body)) {
    result.text += ", and the body lacks \"" + check.body + "\"";
  } else {
    result.success = true;
  }
  return result;
}

awaitable<ProbeResult> ProbeHttp(wire::Socket& socket, const HealthCheck& check,
                                 Deadline deadline) {
  const auto target = ParseHttpTarget(check.target);
  if (!target) co_return Failed(target.error().detail);
  Result<Endpoint> endpoint = EndpointOf(target->tcp);
  if (!check.socket.empty()) {
    endpoint = Endpoint(asio::local::stream_protocol::endpoint(check.socket));
  }
  if (!endpoint) co_return Failed(endpoint.error().Message());
  if (auto connected = co_await Connect(socket, *endpoint, deadline); !connected) {
    co_return Failed(Why(check, connected.error()));
  }
  const std::string request = "GET " + target->path + " HTTP/1.1\r\nHost: " + target->host +
                              "\r\nUser-Agent: berth-agent\r\nAccept: */*\r\n"
                              "Connection: close\r\n\r\n";
  wire::Expiry expiry(socket.get_executor());
  expiry.Arm(deadline, socket);
  boost::system::error_code code;
  co_await asio::async_write(socket, asio::buffer(request),
                             asio::redirect_error(asio::use_awaitable, code));
  if (expiry.Disarm()) co_return Failed(TimedOut(check));
  if (code) co_return Failed(Why(check, wire::FromAsio("http", code)));
  HttpReply reply;
  const auto read = co_await ReadReply(socket, check, reply, deadline);
  if (!read) co_return Failed(Why(check, read.error()));
  co_return Judge(check, reply);
}

awaitable<ProbeResult> ProbeByChild(asio::any_io_executor executor, const HealthCheck& check,
                                    ProbePlace place, Deadline deadline,
                                    std::function<void()>& abort) {
  ChildRun::Plan plan{
      .argv = check.exec, .cgroup = place.cgroup, .max_output_bytes = wire::kMaxHealthOutputBytes};
  if (check.kind == HealthKind::kFile) {
    plan.argv = {place.program, kChoreFlag, "check-file", check.target};
  }
  const auto run = ChildRun::Start(executor, plan, place.defaults);
  if (!run) co_return Failed("not started: " + run.error().Message());
  abort = [weak = std::weak_ptr<ChildRun>(*run)] {
    if (const auto alive = weak.lock()) alive->Kill();
  };
  ProbeResult result;
  if (co_await (*run)->Await(deadline)) {
    result.text = (*run)->HowItEnded();
    result.success = result.text.empty();
    result.output = (*run)->output();
    if (result.success) result.text = "exit code 0";
    if (check.kind == HealthKind::kFile) {
      result.text = result.success ? "it is there" : std::exchange(result.output, {});
    }
    co_return result;
  }
  (*run)->Kill();
  result.text = TimedOut(check) + "; killed";
  result.output = (*run)->output();
  result.left = *run;
  co_return result;
}

}  // namespace

awaitable<ProbeResult> RunProbe(asio::any_io_executor executor, const HealthCheck& check,
                                ProbePlace place, Deadline deadline, std::function<void()>& abort) {
  if (check.kind == HealthKind::kExec || check.kind == HealthKind::kFile) {
    auto result = co_await ProbeByChild(executor, check, std::move(place), deadline, abort);
    abort = nullptr;
    co_return result;
  }
  const auto socket = std::make_shared<wire::Socket>(executor);
  abort = [weak = std::weak_ptr<wire::Socket>(socket)] {
    boost::system::error_code ignored;
    if (const auto alive = weak.lock()) alive->close(ignored);
  };
  ProbeResult result = check.kind == HealthKind::kTcp
                           ? co_await ProbeTcp(*socket, check, deadline)
                           : co_await ProbeHttp(*socket, check, deadline);
  abort = nullptr;
  co_return result;
}

}  // namespace berth::agent
