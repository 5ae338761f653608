// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shim/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "supervisor/hypervisor/vm_paths.h"

namespace berth::shim {

Result<UniqueFd> ListenUnix(const std::string& path, int backlog) {
  if (path.size() > kMaxSocketPathBytes) {
    return Fail(
        "listen", ENAMETOOLONG,
        path + ": a socket's path has at most " + std::to_string(kMaxSocketPathBytes) + " bytes",
        "use a shorter state directory or VM name");
  }
  struct stat st{};
  if (lstat(path.c_str(), &st) == 0 && S_ISSOCK(st.st_mode)) unlink(path.c_str());
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return ErrnoError("listen", path);
  // On the socket, before bind: the file is never there with wider rights, and no umask is touched.
  if (fchmod(fd.get(), 0600) != 0) return ErrnoError("listen", path);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(fd.get(), backlog) != 0) {
    return ErrnoError("listen", path);
  }
  return fd;
}

}  // namespace berth::shim
