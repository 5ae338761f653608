// SPDX-License-Identifier: Apache-2.0
//
// Unix socket addresses, and the path at which a host port of the guest's is listened on.
#ifndef BERTH_SUPERVISOR_VSOCK_UNIX_SOCKET_H_
#define BERTH_SUPERVISOR_VSOCK_UNIX_SOCKET_H_

#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <string>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::vsock {

class UnixAddress {
 public:
  // ENAMETOOLONG where the path does not fit into a sockaddr_un (107 bytes).
  static Result<UnixAddress> For(const std::string& path);

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address_); }
  socklen_t length() const { return sizeof(address_); }

 private:
  sockaddr_un address_{};
};

// "<socket>_1022": where somebody listens who wants to be dialled by the guest on port 1022.
std::string HostPortPath(const std::string& socket, uint32_t port);

// Connects without waiting. No descriptor where no one listens, or too many wait to be accepted.
UniqueFd DialHostPort(const std::string& socket, uint32_t port);

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_UNIX_SOCKET_H_
