// SPDX-License-Identifier: Apache-2.0
#include "agent/forward.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/un.h>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>

#include "protocol/base/text.h"
#include "protocol/base/unix_address.h"
#include "protocol/wire/limits.h"
#include "protocol/wire/readiness.h"

namespace berth::agent {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr Step kForwardStep = "forward";
// A Unix listener whose backlog is full tells nobody when it has room again.
constexpr auto kBacklogRetry = 20ms;

ForwardAddress AddressOf(const void* address, socklen_t length, std::string text) {
  ForwardAddress out;
  std::memcpy(&out.storage, address, length);
  out.length = length;
  out.text = std::move(text);
  return out;
}

bool AddNumeric(const std::string& host, uint16_t port, std::vector<ForwardAddress>& out) {
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = htons(port);
  if (inet_pton(AF_INET, host.c_str(), &four.sin_addr) == 1) {
    out.push_back(AddressOf(&four, sizeof(four), host + ":" + std::to_string(port)));
    return true;
  }
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(port);
  if (inet_pton(AF_INET6, host.c_str(), &six.sin6_addr) == 1) {
    out.push_back(AddressOf(&six, sizeof(six), "[" + host + "]:" + std::to_string(port)));
    return true;
  }
  return false;
}

std::string HintFor(int errnum, bool is_unix) {
  switch (errnum) {
    case ECONNREFUSED:
      return "nothing listens there in the guest";
    case ENETUNREACH:
    case EADDRNOTAVAIL:
      return "no interface of the guest leads there; its loopback may be down: look with berth "
             "exec "
             "VM -- ip addr";
    case ENOENT:
      return "the guest has no such file";
    case EAGAIN:
      return is_unix ? "who listens there does not accept" : "";
    default:
      return {};
  }
}

std::unexpected<Error> CannotConnect(int errnum, const ForwardAddress& address) {
  return Fail(kForwardStep, errnum, address.text,
              HintFor(errnum, address.storage.ss_family == AF_UNIX));
}

asio::awaitable<Result<UniqueFd>> ConnectOne(asio::any_io_executor executor,
                                             const ForwardAddress& address, Deadline deadline) {
  const int family = address.storage.ss_family;
  UniqueFd fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) co_return CannotConnect(errno, address);
  asio::steady_timer retry(executor);
  int errnum = 0;
  for (;;) {
    const auto* to = reinterpret_cast<const sockaddr*>(&address.storage);
    errnum = connect(fd.get(), to, address.length) == 0 ? 0 : errno;
    if (errnum != EAGAIN && errnum != EINTR) break;
    if (deadline.Passed()) co_return CannotConnect(errnum, address);
    boost::system::error_code ignored;
    retry.expires_after(kBacklogRetry);
    co_await retry.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  if (errnum == EINPROGRESS) {
    asio::posix::stream_descriptor waiting(executor, fd.get());
    const auto code =
        co_await wire::AwaitReady(waiting, asio::posix::stream_descriptor::wait_write, deadline);
    [[maybe_unused]] const int ours = waiting.release();
    socklen_t length = sizeof(errnum);
    if (code) {
      errnum = code.value();
    } else if (getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &errnum, &length) != 0) {
      errnum = errno;
    }
  }
  if (errnum != 0) co_return CannotConnect(errnum, address);
  const int on = 1;
  if (family != AF_UNIX) setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  co_return std::move(fd);
}

}  // namespace

Result<std::vector<ForwardAddress>> ForwardAddresses(const v1::Forward& request) {
  const auto refuse = [](const std::string& what, const std::string& hint = {}) {
    return Fail(kForwardStep, EINVAL, what, hint);
  };
  std::vector<ForwardAddress> out;
  if (request.has_unix_path()) {
    const std::string& path = request.unix_path();
    if (!path.starts_with('/') || path.find('\0') != std::string::npos) {
      return refuse("not an absolute path");
    }
    BERTH_ASSIGN(const sockaddr_un address, UnixAddress(kForwardStep, path));
    out.push_back(AddressOf(&address, sizeof(address), Printable(path)));
    return out;
  }
  if (!request.has_tcp()) return refuse("neither a TCP port nor a path");
  const auto& tcp = request.tcp();
  if (tcp.port() < 1 || tcp.port() > UINT16_MAX) {
    return refuse("port " + std::to_string(tcp.port()) + " does not exist");
  }
  const auto port = static_cast<uint16_t>(tcp.port());
  if (tcp.host().size() > wire::kMaxForwardHostBytes) return refuse("the host is too long");
  if (tcp.host().empty() || tcp.host() == "localhost") {
    AddNumeric("127.0.0.1", port, out);
    AddNumeric("::1", port, out);
  } else if (tcp.host().find('\0') != std::string::npos || !AddNumeric(tcp.host(), port, out)) {
    return refuse("'" + Printable(tcp.host()) + "' is no address",
                  "names are not resolved in the guest, but for localhost: give its address");
  }
  return out;
}

asio::awaitable<Result<UniqueFd>> ConnectForward(asio::any_io_executor executor,
                                                 std::vector<ForwardAddress> addresses,
                                                 Deadline deadline) {
  Result<UniqueFd> first = Fail(kForwardStep, EINVAL, "no address");
  for (size_t i = 0; i < addresses.size(); ++i) {
    auto connected = co_await ConnectOne(executor, addresses[i], deadline);
    if (connected) co_return connected;
    if (i == 0) first = std::move(connected);
  }
  co_return first;
}

ForwardSession::ForwardSession(std::unique_ptr<wire::Channel> channel, UniqueFd target,
                               wire::RelayPool& pool)
    : channel_(std::move(channel)),
      target_(channel_->executor(), target.get()),
      relay_(pool,
             {.framed = channel_->socket().native_handle(),
              .source = target.get(),
              .sink = target.get(),
              .out = wire::Stream::kStdout,
              .in = wire::Stream::kStdin,
              .pipe_sink = {}},
             [](const v1::Envelope&) -> Result<> {
               return Fail(kForwardStep, EPROTO, "a message that has no place in a forward");
             }),
      wake_(channel_->executor()) {
  [[maybe_unused]] const int owned = target.Release();
  relay_.Open();
}

template <typename Object, typename Type>
void ForwardSession::Arm(Object& object, Type type, bool& pending) {
  if (std::exchange(pending, true)) return;
  object.async_wait(type,
                    [weak = weak_from_this(), &pending](const boost::system::error_code& code) {
                      const auto self = weak.lock();
                      if (!self) return;
                      pending = false;
                      if (code != asio::error::operation_aborted) self->wake_.Notify();
                    });
}

void ForwardSession::ArmAll() {
  using Target = asio::posix::stream_descriptor;
  const auto& wants = relay_.wants();
  auto& socket = channel_->socket();
  if ((wants.framed & POLLIN) != 0) Arm(socket, wire::Socket::wait_read, channel_pending_.read);
  if ((wants.framed & POLLOUT) != 0) Arm(socket, wire::Socket::wait_write, channel_pending_.write);
  if ((wants.source & POLLIN) != 0) Arm(target_, Target::wait_read, target_pending_.read);
  if ((wants.sink & POLLOUT) != 0) Arm(target_, Target::wait_write, target_pending_.write);
}

asio::awaitable<void> ForwardSession::Run() {
  for (;;) {
    const auto progress = relay_.Round();
    if (!progress) {
      relay_.TellFailure(progress.error());
      wire::ResetOnClose(target_.native_handle());
      break;
    }
    if (*progress == wire::Relay::Progress::kDone) break;
    if (*progress == wire::Relay::Progress::kMore) {
      co_await asio::post(channel_->executor(), asio::use_awaitable);
    } else {
      ArmAll();
      co_await wake_.Wait();
    }
  }
  boost::system::error_code ignored;
  target_.close(ignored);
  channel_->Close();
}

}  // namespace berth::agent
