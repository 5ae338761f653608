// SPDX-License-Identifier: Apache-2.0
#include "supervisor/guest/dial.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstddef>
#include <cstring>

#include "protocol/wire/expiry.h"

namespace berth::guest {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

// connect(2) on a Unix socket whose backlog is full says EAGAIN at once, and no event tells when
// there is room.
constexpr auto kBacklogRetry = 5ms;

asio::awaitable<Result<>> Connect(wire::Socket& socket, const std::string& path,
                                  Deadline deadline) {
  auto endpoint = UnixEndpoint(path);
  if (!endpoint) co_return std::unexpected(endpoint.error());
  asio::steady_timer retry(socket.get_executor());
  for (;;) {
    boost::system::error_code code;
    socket.open(endpoint->protocol(), code);
    if (!code) socket.native_non_blocking(true, code);
    if (code) co_return std::unexpected(wire::FromAsio("dial-connect", code));
    if (connect(socket.native_handle(), endpoint->data(),
                static_cast<socklen_t>(endpoint->size())) == 0) {
      co_return Result<>{};
    }
    const int errnum = errno;
    socket.close(code);
    if (errnum == EINTR) continue;
    if (errnum == ENOENT || errnum == ECONNREFUSED) {
      co_return Fail("dial-connect", errnum, path,
                     "the VM's vsock device does not run: see the VM's status and its vsock.log");
    }
    if (errnum != EAGAIN) co_return Fail("dial-connect", errnum, path);
    if (deadline.Passed()) {
      co_return Fail("dial-connect", ETIMEDOUT, path, "the VM's vsock device does not accept");
    }
    retry.expires_after(kBacklogRetry);
    co_await retry.async_wait(asio::redirect_error(asio::use_awaitable, code));
    if (code) co_return std::unexpected(wire::FromAsio("dial-connect", code));
  }
}

// Takes bytes up to the newline and none behind it. Empty: the peer closed; nullopt: not all is
// there.
Result<std::optional<std::string>> TryReadLine(int fd, std::string& line) {
  for (;;) {
    char room[kMaxReplyBytes];
    const ssize_t peeked = recv(fd, room, sizeof(room), MSG_PEEK | MSG_DONTWAIT);
    if (peeked < 0 && errno == EINTR) continue;
    if (peeked < 0 && errno == EAGAIN) return std::nullopt;
    // A device that closes with our request unread resets the connection: it refused all the same.
    if (peeked == 0 || (peeked < 0 && errno == ECONNRESET)) return std::string();
    if (peeked < 0) return ErrnoError("dial-port");
    const std::string_view seen(room, static_cast<size_t>(peeked));
    const size_t newline = seen.find('\n');
    const size_t take = newline == std::string_view::npos ? seen.size() : newline + 1;
    if (line.size() + take > kMaxReplyBytes) {
      return Fail("dial-port", EPROTO, "the vsock device answered a line without end");
    }
    const ssize_t taken = recv(fd, room, take, MSG_DONTWAIT);
    if (taken < 0) return ErrnoError("dial-port");
    line.append(room, static_cast<size_t>(taken));
    if (newline != std::string_view::npos) return line;
  }
}

}  // namespace

Result<asio::generic::stream_protocol::endpoint> UnixEndpoint(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return Fail("unix-path", ENAMETOOLONG, path,
                "a Unix socket's path has at most 107 bytes: use a shorter state directory");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return asio::generic::stream_protocol::endpoint(
      &address, offsetof(sockaddr_un, sun_path) + path.size() + 1);
}

Result<> CheckReply(std::string_view line) {
  constexpr std::string_view kOk = "OK ";
  const bool good = line.starts_with(kOk) && line.ends_with('\n') && line.size() > kOk.size() + 1 &&
                    std::ranges::all_of(line.substr(kOk.size(), line.size() - kOk.size() - 1),
                                        [](char c) { return c >= '0' && c <= '9'; });
  if (good) return {};
  return Fail("dial-port", EPROTO, "the vsock device did not answer OK to CONNECT");
}

asio::awaitable<Result<wire::Socket>> Dial(asio::any_io_executor executor,
                                           std::string vsock_socket_path, uint32_t port,
                                           Deadline deadline) {
  wire::Socket socket(executor);
  if (auto connected = co_await Connect(socket, vsock_socket_path, deadline); !connected) {
    co_return std::unexpected(connected.error());
  }
  const std::string where = "port " + std::to_string(port) + " through " + vsock_socket_path;
  const std::string request = "CONNECT " + std::to_string(port) + "\n";
  // A fresh socket has room for a line.
  if (send(socket.native_handle(), request.data(), request.size(), MSG_DONTWAIT | MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    co_return ErrnoError("dial-port", where);
  }
  wire::Expiry expiry(executor);
  std::string line;
  for (;;) {
    const auto read = TryReadLine(socket.native_handle(), line);
    if (!read) co_return std::unexpected(read.error());
    if (*read && (*read)->empty()) {
      co_return Fail("dial-port", ECONNREFUSED, where,
                     "nothing listens there in the guest: its agent is not up, or has died");
    }
    if (*read) {
      if (auto good = CheckReply(**read); !good) co_return std::unexpected(good.error());
      co_return socket;
    }
    expiry.Arm(deadline, socket);
    boost::system::error_code code;
    co_await socket.async_wait(wire::Socket::wait_read,
                               asio::redirect_error(asio::use_awaitable, code));
    if (expiry.Disarm()) {
      co_return Fail("dial-port", ETIMEDOUT, where,
                     "the guest does not answer: it is booting, stopped or hung");
    }
    if (code) co_return std::unexpected(wire::FromAsio("dial-port", code));
  }
}

}  // namespace berth::guest
