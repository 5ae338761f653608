// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/forward_listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>

#include "protocol/base/unix_address.h"

namespace berth::cli {

namespace {

constexpr Step kListen = "listen";
constexpr int kBacklog = 1024;

Result<UniqueFd> NewSocket(int family) {
  UniqueFd fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return ErrnoError(kListen, "socket");
  return fd;
}

Result<UniqueFd> ListenTcp(ForwardEnd& local) {
  sockaddr_storage storage{};
  auto& four = reinterpret_cast<sockaddr_in&>(storage);
  auto& six = reinterpret_cast<sockaddr_in6&>(storage);
  socklen_t length = 0;
  if (inet_pton(AF_INET, local.host.c_str(), &four.sin_addr) == 1) {
    four.sin_family = AF_INET;
    four.sin_port = htons(local.port);
    length = sizeof(four);
  } else if (inet_pton(AF_INET6, local.host.c_str(), &six.sin6_addr) == 1) {
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(local.port);
    length = sizeof(six);
  } else {
    return Fail(kListen, EINVAL, local.Text(),
                "the address to listen on is numeric, [v6] in brackets, or localhost");
  }
  BERTH_ASSIGN(UniqueFd fd, NewSocket(storage.ss_family));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  // [::] is not 0.0.0.0 too: what is asked for is listened on, and nothing else.
  if (length == sizeof(six)) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  auto* const address = reinterpret_cast<sockaddr*>(&storage);
  if (bind(fd.get(), address, length) != 0 || listen(fd.get(), kBacklog) != 0) {
    return ErrnoError(kListen, local.Text(), "choose another port, or 0 for one that is free");
  }
  if (getsockname(fd.get(), address, &length) != 0) return ErrnoError(kListen, "getsockname");
  local.port = ntohs(length == sizeof(six) ? six.sin6_port : four.sin_port);
  return fd;
}

// True where a socket is there and nobody listens on it.
bool IsStale(const sockaddr_un& address) {
  struct stat status{};
  if (lstat(address.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
  const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  return probe &&
         connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 &&
         errno == ECONNREFUSED;
}

Result<UniqueFd> ListenUnix(const ForwardEnd& local) {
  BERTH_ASSIGN(const sockaddr_un address, UnixAddress(kListen, local.path));
  BERTH_ASSIGN(UniqueFd fd, NewSocket(AF_UNIX));
  if (IsStale(address)) unlink(address.sun_path);
  // From its first moment on it is the caller's alone.
  const mode_t old = umask(0177);
  const int bound = bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const int errnum = errno;
  umask(old);
  if (bound != 0) {
    return Fail(
        kListen, errnum, local.path,
        errnum == EADDRINUSE ? "something is there already: remove it, or name another" : "");
  }
  if (listen(fd.get(), kBacklog) != 0) {
    const auto error = ErrnoError(kListen, local.path);
    unlink(address.sun_path);
    return error;
  }
  return fd;
}

}  // namespace

Result<ForwardListener> ForwardListener::Open(ForwardEnd local) {
  if (!local.is_unix()) {
    BERTH_ASSIGN(UniqueFd fd, ListenTcp(local));
    return ForwardListener(std::move(fd), std::move(local));
  }
  BERTH_ASSIGN(UniqueFd fd, ListenUnix(local));
  ForwardListener listener(std::move(fd), std::move(local));
  struct stat status{};
  if (lstat(listener.local_.path.c_str(), &status) == 0) {
    listener.device_ = status.st_dev;
    listener.inode_ = status.st_ino;
  }
  return listener;
}

ForwardListener::ForwardListener(ForwardListener&& other) noexcept
    : fd_(std::move(other.fd_)),
      local_(std::move(other.local_)),
      device_(other.device_),
      inode_(other.inode_) {}

ForwardListener::~ForwardListener() {
  struct stat status{};
  if (fd_ && local_.is_unix() && lstat(local_.path.c_str(), &status) == 0 &&
      status.st_dev == device_ && status.st_ino == inode_) {
    unlink(local_.path.c_str());
  }
}

Result<UniqueFd> ForwardListener::Accept() const {
  UniqueFd client;
  do {
    client.Reset(accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  } while (!client && (errno == EINTR || errno == ECONNABORTED));
  if (!client) return ErrnoError("accept", local_.Text());
  const int on = 1;
  if (!local_.is_unix()) {
    setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  return client;
}

}  // namespace berth::cli
