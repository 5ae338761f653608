// SPDX-License-Identifier: Apache-2.0
//
// The floor of boot time: a PID 1 that loads the modules vsock needs, dials the host and sends one
// byte. Nothing that boots into a guest that can talk over vsock can do less. /floor.modules names
// the modules, one path a line, in the order to load them; it is absent where the kernel has vsock
// built in.
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <string_view>

#include "protocol/base/io.h"
#include "protocol/base/log.h"
#include "protocol/base/unique_fd.h"

namespace {

constexpr uint32_t kReadyPort = 1022;
constexpr size_t kMaxListBytes = 64 * 1024;

void LoadModules() {
  const auto list = berth::ReadFile("/floor.modules", kMaxListBytes);
  if (!list) return;
  std::string_view rest = *list;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    const std::string path(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    const berth::UniqueFd module(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!module || (syscall(SYS_finit_module, module.get(), "", 0) != 0 && errno != EEXIST)) {
      berth::Log(berth::LogLevel::kError, "bench-floor-init",
                 path + ": " + berth::ErrnoName(errno));
    }
  }
}

}  // namespace

int main() {
  LoadModules();
  const berth::UniqueFd vsock(socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_vm host = {};
  host.svm_family = AF_VSOCK;
  host.svm_cid = VMADDR_CID_HOST;
  host.svm_port = kReadyPort;
  if (connect(vsock.get(), reinterpret_cast<const sockaddr*>(&host), sizeof(host)) != 0 ||
      send(vsock.get(), "R", 1, MSG_NOSIGNAL) != 1) {
    berth::Log(berth::LogLevel::kFatal, "bench-floor-init", berth::ErrnoName(errno));
  } else {
    // The host closes once it has the byte: powering off before would lose it with the device.
    char byte;
    [[maybe_unused]] const ssize_t n = read(vsock.get(), &byte, 1);
  }
  reboot(RB_POWER_OFF);
  for (;;) pause();
}
