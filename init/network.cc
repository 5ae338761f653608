// SPDX-License-Identifier: Apache-2.0
#include "init/network.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "protocol/base/io.h"
#include "protocol/base/unique_fd.h"

namespace berth::init {

Result<> SetHostname(const std::string& wanted) {
  std::string name = wanted;
  if (name.empty()) {
    constexpr size_t kMaxFileBytes = 1024;
    if (const auto text = ReadFile("/etc/hostname", kMaxFileBytes)) {
      name = text->substr(0, text->find_first_of(" \t\r\n"));
    }
  }
  if (name.empty()) name = "localhost";
  if (sethostname(name.data(), name.size()) != 0) return ErrnoError("hostname", name);
  return {};
}

Result<> BringLoopbackUp() {
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return ErrnoError("loopback", "socket(AF_INET)");
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", sizeof("lo"));
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) return ErrnoError("loopback");
  return {};
}

}  // namespace berth::init
