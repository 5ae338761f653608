// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/paths.h"

#include <unistd.h>

#include <climits>
#include <cstdlib>

namespace berth::daemon {

std::string SocketPath(const std::string& option) {
  if (!option.empty()) return option;
  const char* from_environment = std::getenv("BERTH_SOCKET");
  if (from_environment != nullptr && *from_environment != '\0') return from_environment;
  return kDefaultSocket;
}

std::string LibexecDir() {
  const char* from_environment = std::getenv("BERTH_LIBEXEC_DIR");
  if (from_environment != nullptr && *from_environment != '\0') return from_environment;
  char path[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", path, sizeof(path));
  if (n <= 0) return "/usr/libexec/berth";
  const std::string self(path, static_cast<size_t>(n));
  return self.substr(0, self.rfind('/'));
}

}  // namespace berth::daemon
