// SPDX-License-Identifier: Apache-2.0
#include "agent/ready.h"

#include <linux/vm_sockets.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "protocol/base/log.h"
#include "protocol/base/text.h"
#include "protocol/wire/channel.h"
#include "protocol/wire/expiry.h"
#include "protocol/wire/handshake.h"

namespace berth::agent {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto kFirstBackoff = 50ms;
constexpr auto kMaxBackoff = 5s;
constexpr auto kConnectTimeout = 5s;

v1::Envelope MakeReady(const BootRecord& boot) {
  v1::Envelope message;
  auto& ready = *message.mutable_ready();
  for (const BootRecord::Phase& each : boot.phases) {
    auto& phase = *ready.add_phases();
    phase.set_name(Utf8(each.name));
    phase.set_monotonic_us(ToMicroseconds(each.monotonic_ns));
  }
  ready.set_agent_starts(boot.agent_starts);
  utsname system = {};
  if (uname(&system) == 0) ready.set_kernel_release(Utf8(system.release));
  ready.set_sent_monotonic_us(ToMicroseconds(MonotonicNs()));
  return message;
}

asio::awaitable<Result<wire::Socket>> Connect(asio::any_io_executor executor, HostEndpoint host) {
  wire::Socket socket(executor);
  boost::system::error_code code;
  socket.open(host.protocol(), code);
  if (code) co_return std::unexpected(wire::FromAsio("ready-socket", code));
  wire::Expiry expiry(executor);
  expiry.Arm(Deadline::In(kConnectTimeout), socket);
  co_await socket.async_connect(host, asio::redirect_error(asio::use_awaitable, code));
  if (expiry.Disarm()) co_return Fail("ready-connect", ETIMEDOUT, "the host's Ready port");
  if (code) co_return std::unexpected(wire::FromAsio("ready-connect", code));
  co_return socket;
}

}  // namespace

HostEndpoint HostReadyEndpoint() {
  sockaddr_vm address = {};
  address.svm_family = AF_VSOCK;
  address.svm_cid = VMADDR_CID_HOST;
  address.svm_port = wire::kReadyPort;
  return {&address, sizeof(address)};
}

asio::awaitable<Result<ReadyHeard>> SayReadyOnce(asio::any_io_executor executor, HostEndpoint host,
                                                 const v1::Hello& hello, const BootRecord& boot) {
  auto socket = co_await Connect(executor, host);
  if (!socket) co_return std::unexpected(socket.error());
  wire::Channel channel(std::move(*socket));
  const Deadline deadline = Deadline::In(wire::kHandshakeTimeout);

  v1::Envelope greeting;
  *greeting.mutable_hello() = hello;
  auto bytes = wire::EncodeMessage(greeting);
  if (!bytes) co_return std::unexpected(bytes.error());
  const auto ready = wire::EncodeMessage(MakeReady(boot));
  if (!ready) co_return std::unexpected(ready.error());
  *bytes += *ready;
  if (auto sent = co_await channel.WriteBytes(std::as_bytes(std::span(*bytes)), deadline); !sent) {
    co_return std::unexpected(sent.error());
  }

  const auto theirs = co_await channel.ReadMessage(deadline);
  if (!theirs) co_return std::unexpected(theirs.error());
  if (!theirs->has_hello()) co_return Fail("ready", EPROTO, "the host did not begin with Hello");
  const auto agreed = wire::Negotiate(hello, theirs->hello());
  if (!agreed) co_return std::unexpected(agreed.error());
  const auto answer = co_await channel.ReadMessage(deadline);
  if (!answer) co_return std::unexpected(answer.error());
  if (answer->has_failure()) co_return std::unexpected(wire::FromFailure(answer->failure()));
  if (!answer->has_ready_ack()) co_return Fail("ready", EPROTO, "no ReadyAck from the host");
  co_return ReadyHeard{*agreed, answer->ready_ack()};
}

asio::awaitable<ReadyHeard> SayReady(asio::any_io_executor executor, HostEndpoint host,
                                     const v1::Hello& hello, BootRecord boot,
                                     std::function<void()> failed) {
  LogLimiter limiter(3, 60s);
  std::chrono::milliseconds backoff = kFirstBackoff;
  asio::steady_timer timer(executor);
  for (;;) {
    auto said = co_await SayReadyOnce(executor, host, hello, boot);
    if (said) co_return std::move(*said);
    if (limiter.Allow()) {
      Log(LogLevel::kWarning, "berth-agent",
          "the host did not hear Ready: " + said.error().Message());
    }
    failed();
    timer.expires_after(backoff);
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    backoff = std::min<std::chrono::milliseconds>(backoff * 2, kMaxBackoff);
  }
}

}  // namespace berth::agent
