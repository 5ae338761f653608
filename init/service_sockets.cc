// SPDX-License-Identifier: Apache-2.0
#include "init/service_sockets.h"

#include <arpa/inet.h>
#include <linux/vm_sockets.h>  // needs <sys/socket.h> before it
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>

#include "init/mounts.h"
#include "protocol/base/unix_address.h"

namespace berth::init {
namespace {

template <typename T>
bool TakeNumber(std::string_view text, T& value) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc() && end == text.data() + text.size();
}

template <typename T>
void Store(ListenAddress& to, const T& address) {
  memcpy(&to.address, &address, sizeof(address));
  to.length = sizeof(address);
}

bool ParseInternet(std::string_view text, ListenAddress& to) {
  const size_t colon = text.rfind(':');
  uint16_t port = 0;
  if (colon == std::string_view::npos || !TakeNumber(text.substr(colon + 1), port)) return false;
  std::string host(text.substr(0, colon));
  if (host.starts_with('[') && host.ends_with(']')) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    host = host.substr(1, host.size() - 2);
    if (inet_pton(AF_INET6, host.c_str(), &address.sin6_addr) != 1) return false;
    Store(to, address);
    return true;
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) return false;
  Store(to, address);
  return true;
}

bool ParseUnix(std::string_view path, ListenAddress& to) {
  const auto address = UnixAddress("socket", path);
  if (!path.starts_with('/') || !address) return false;
  Store(to, *address);
  to.unix_path = path;
  return true;
}

bool ParseVsock(std::string_view text, ListenAddress& to) {
  sockaddr_vm address{};
  address.svm_family = AF_VSOCK;
  address.svm_cid = VMADDR_CID_ANY;
  if (!TakeNumber(text, address.svm_port)) return false;
  Store(to, address);
  return true;
}

struct SocketKind {
  std::string_view prefix;
  int type;
  bool (*parse)(std::string_view, ListenAddress&);
};
constexpr SocketKind kSocketKinds[] = {
    {"tcp:", SOCK_STREAM, ParseInternet},
    {"udp:", SOCK_DGRAM, ParseInternet},
    {"unix:", SOCK_STREAM, ParseUnix},
    {"vsock:", SOCK_STREAM, ParseVsock},
};

// Those that a socket lacks on an old kernel, it does without.
void SetOptions(int fd, const ListenAddress& address) {
  const int on = 1;
  const auto set = [fd, &on](int level, int name) { setsockopt(fd, level, name, &on, sizeof(on)); };
  // Not for datagrams, where it lets two services take each other's.
  if (address.type == SOCK_STREAM && address.unix_path.empty()) set(SOL_SOCKET, SO_REUSEADDR);
  // The address may come later, from a DHCP client.
  if (address.address.ss_family == AF_INET) set(SOL_IP, IP_FREEBIND);
  if (address.address.ss_family == AF_INET6) {
    set(SOL_IPV6, IPV6_FREEBIND);
    // So that "tcp:0.0.0.0:80" has room beside "tcp:[::]:80".
    set(SOL_IPV6, IPV6_V6ONLY);
  }
}

}  // namespace

Result<ListenAddress> ListenAddressOf(std::string_view text) {
  for (const SocketKind& kind : kSocketKinds) {
    if (!text.starts_with(kind.prefix)) continue;
    ListenAddress address;
    address.type = kind.type;
    if (kind.parse(text.substr(kind.prefix.size()), address)) return address;
  }
  return Fail("socket", EINVAL, std::string(text),
              "write tcp:ADDRESS:PORT, udp:ADDRESS:PORT, unix:/PATH or vsock:PORT; an IPv6 address "
              "stands in brackets");
}

Result<UniqueFd> OpenServiceSocket(const SocketConfig& config) {
  BERTH_ASSIGN(const ListenAddress address, ListenAddressOf(config.listen));
  // Blocking, as whoever takes a socket over expects it: PID 1 only polls it.
  UniqueFd fd(socket(address.address.ss_family, address.type | SOCK_CLOEXEC, 0));
  if (!fd) return ErrnoError("socket", config.listen);
  SetOptions(fd.get(), address);
  if (!address.unix_path.empty()) {
    const size_t slash = address.unix_path.rfind('/');
    if (slash != 0) BERTH_TRY(MakeDirs(address.unix_path.substr(0, slash), 0755));
    struct stat info = {};
    if (lstat(address.unix_path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) {
      unlink(address.unix_path.c_str());
    }
  }
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.address), address.length) != 0) {
    return ErrnoError("bind", config.listen);
  }
  if (!address.unix_path.empty() && chmod(address.unix_path.c_str(), config.mode) != 0) {
    return ErrnoError("chmod", address.unix_path);
  }
  if (address.type == SOCK_STREAM && listen(fd.get(), config.backlog) != 0) {
    return ErrnoError("listen", config.listen);
  }
  return fd;
}

bool IsConnectedToItself(int fd) {
  sockaddr_storage own{};
  sockaddr_storage peer{};
  socklen_t own_size = sizeof(own);
  socklen_t peer_size = sizeof(peer);
  return getsockname(fd, reinterpret_cast<sockaddr*>(&own), &own_size) == 0 &&
         getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_size) == 0 &&
         own_size == peer_size && memcmp(&own, &peer, own_size) == 0;
}

}  // namespace berth::init
