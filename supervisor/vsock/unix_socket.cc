// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/unix_socket.h"

#include "supervisor/vsock/log.h"

namespace berth::vsock {

Result<UnixAddress> UnixAddress::For(const std::string& path) {
  UnixAddress address;
  address.address_.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.address_.sun_path)) {
    return Fail("socket-path", ENAMETOOLONG, path,
                "a Unix socket's path has 1 to " +
                    std::to_string(sizeof(address.address_.sun_path) - 1) + " bytes");
  }
  path.copy(address.address_.sun_path, path.size());
  return address;
}

std::string HostPortPath(const std::string& socket, uint32_t port) {
  return socket + "_" + std::to_string(port);
}

UniqueFd DialHostPort(const std::string& socket, uint32_t port) {
  const auto address = UnixAddress::For(HostPortPath(socket, port));
  if (!address) return {};
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) {
    Log(Complaint::kLimit, "no socket for a guest's connection: " + ErrnoName(errno));
    return {};
  }
  if (connect(fd.get(), address->get(), address->length()) != 0) return {};
  return fd;
}

}  // namespace berth::vsock
