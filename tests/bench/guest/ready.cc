// SPDX-License-Identifier: Apache-2.0
//
// The service that a boot is for, the same under every PID 1: dials the host, sends one byte and
// stays. usage: bench-ready PORT
#include <linux/vm_sockets.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "protocol/base/log.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    berth::Log(berth::LogLevel::kError, "bench-ready", "usage: bench-ready PORT");
    return 2;
  }
  const berth::UniqueFd vsock(socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_vm host = {};
  host.svm_family = AF_VSOCK;
  host.svm_cid = VMADDR_CID_HOST;
  host.svm_port = static_cast<uint32_t>(std::strtoul(argv[1], nullptr, 10));
  if (connect(vsock.get(), reinterpret_cast<const sockaddr*>(&host), sizeof(host)) != 0 ||
      send(vsock.get(), "R", 1, MSG_NOSIGNAL) != 1) {
    berth::Log(berth::LogLevel::kError, "bench-ready", "to the host: " + berth::ErrnoName(errno));
    return 1;
  }
  for (;;) pause();
}
