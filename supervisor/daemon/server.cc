// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/server.h"

#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>

#include "protocol/base/log.h"

namespace berth::daemon {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

constexpr int kBacklog = 128;
// accept(2) that fails for want of descriptors fails again at once: wait instead of spinning.
constexpr auto kAcceptPause = std::chrono::milliseconds(200);

Result<sockaddr_un> Address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return Fail("api-socket", ENAMETOOLONG, path, "a socket's path has at most 107 bytes");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

// Whether somebody listens on `path`: a socket file alone may be what a crash left behind.
bool SomebodyListens(const sockaddr_un& address) {
  const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return false;
  return connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ||
         errno == EAGAIN;
}

Caller PeerOf(int fd) {
  ucred credentials{};
  socklen_t length = sizeof(credentials);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return {};
  return {credentials.pid, credentials.uid, credentials.gid};
}

}  // namespace

Server::Server(const asio::any_io_executor& executor, Service& service, ServerOptions options)
    : acceptor_(executor), service_(service), options_(std::move(options)) {}

Server::~Server() { StopListening(); }

Result<> Server::Listen() {
  const std::string& path = options_.socket;
  BERTH_ASSIGN(const sockaddr_un address, Address(path));
  if (SomebodyListens(address)) {
    return Fail("api-socket", EADDRINUSE, path, "another berthd answers there");
  }
  const std::string temporary = path + ".new";
  BERTH_ASSIGN(const sockaddr_un temporary_address, Address(temporary));
  unlink(temporary.c_str());
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return ErrnoError("api-socket", path);
  const auto undo = [&](std::unexpected<Error> error) {
    unlink(temporary.c_str());
    return error;
  };
  // Nobody else from the first moment on: the mode is that of the file's birth.
  const mode_t before = umask(0177);
  const int bound = bind(fd.get(), reinterpret_cast<const sockaddr*>(&temporary_address),
                         sizeof(temporary_address));
  const int bind_errno = errno;
  umask(before);
  if (bound != 0) {
    return Fail("api-socket", bind_errno, path,
                bind_errno == ENOENT ? "its directory has to exist" : "");
  }
  if (options_.group) {
    if (chown(temporary.c_str(), static_cast<uid_t>(-1), *options_.group) != 0 ||
        chmod(temporary.c_str(), 0660) != 0) {
      return undo(ErrnoError("api-socket", path));
    }
  }
  if (listen(fd.get(), kBacklog) != 0) return undo(ErrnoError("api-socket", path));
  if (rename(temporary.c_str(), path.c_str()) != 0) return undo(ErrnoError("api-socket", path));
  boost::system::error_code code;
  acceptor_.assign(asio::local::stream_protocol(), fd.get(), code);
  if (code) return Fail("api-socket", code.value(), path);
  [[maybe_unused]] const int owned = fd.Release();
  listening_ = true;
  asio::co_spawn(acceptor_.get_executor(), AcceptLoop(), asio::detached);
  return {};
}

void Server::StopListening() {
  if (!std::exchange(listening_, false)) return;
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  unlink(options_.socket.c_str());
}

void Server::CloseAll() {
  for (const auto& weak : connections_) {
    if (const auto connection = weak.lock()) connection->Close();
  }
}

size_t Server::CountConnections() {
  std::erase_if(connections_, [](const auto& weak) { return weak.expired(); });
  return connections_.size();
}

awaitable<void> Server::AcceptLoop() {
  LogLimiter limiter(20, std::chrono::seconds(1));
  while (listening_) {
    boost::system::error_code code;
    Connection::Socket socket(acceptor_.get_executor());
    co_await acceptor_.async_accept(socket, asio::redirect_error(asio::use_awaitable, code));
    if (!listening_ || code == asio::error::operation_aborted) co_return;
    if (code) {
      if (limiter.Allow()) spdlog::warn("api: accept: {}", code.message());
      asio::steady_timer pause(acceptor_.get_executor(), kAcceptPause);
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, code));
      continue;
    }
    const Caller caller = PeerOf(socket.native_handle());
    if (CountConnections() >= options_.max_connections) {
      if (limiter.Allow()) {
        spdlog::warn("api: {}: refused: there are {} connections", caller.Text(),
                     options_.max_connections);
      }
      continue;  // closes it
    }
    if (limiter.Allow()) {
      spdlog::info("api: connection of {}{}", caller.Text(),
                   limiter.TakeSuppressed() > 0 ? " (and others before it)" : "");
    }
    auto connection =
        std::make_shared<Connection>(std::move(socket), caller, service_, options_.limits);
    connections_.push_back(connection);
    connection->Start();
  }
}

}  // namespace berth::daemon
