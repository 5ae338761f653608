// SPDX-License-Identifier: Apache-2.0
//
// Sockets that PID 1 opens for a service before any service starts, and keeps: nobody who connects
// while the service is down is refused.
#ifndef BERTH_INIT_SERVICE_SOCKETS_H_
#define BERTH_INIT_SERVICE_SOCKETS_H_

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "init/config.h"
#include "protocol/base/result.h"
#include "protocol/base/spawn.h"
#include "protocol/base/unique_fd.h"

namespace berth::init {

struct ListenAddress {
  int type = SOCK_STREAM;
  sockaddr_storage address{};
  socklen_t length = 0;
  std::string unix_path;  // of a Unix socket
};

// "tcp:0.0.0.0:80", "tcp:[::]:80", "udp:…", "unix:/run/x.sock", "vsock:PORT". EINVAL otherwise.
Result<ListenAddress> ListenAddressOf(std::string_view text);

// What Spawn can pass on beside the three standard descriptors.
inline constexpr size_t kMaxServiceSockets = kMaxSpawnFds - 3;

// Bound and, where it is a stream, listening. A Unix socket of that name is replaced; an IPv4 or
// IPv6 address need not be there yet, and one of IPv6 takes IPv6 alone.
Result<UniqueFd> OpenServiceSocket(const SocketConfig& socket);

// Whether a TCP connection is one to its own address and port: what a connect(2) to a port of the
// ephemeral range, where nobody listens, can end in.
bool IsConnectedToItself(int fd);

}  // namespace berth::init

#endif  // BERTH_INIT_SERVICE_SOCKETS_H_
