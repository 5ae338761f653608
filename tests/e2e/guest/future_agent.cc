// SPDX-License-Identifier: Apache-2.0
//
// A fake berth-agent of generation 99 that speaks nothing older: it says Hello and Ready as a real
// one does, and then waits. The host must refuse it with both generations named.
#include <linux/vm_sockets.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/base/log.h"
#include "protocol/base/unique_fd.h"
#include "protocol/wire/channel.h"
#include "protocol/wire/handshake.h"
#include "protocol/wire/limits.h"

int main() {
  berth::v1::Envelope hello;
  *hello.mutable_hello() = berth::wire::MakeHello(std::string(16, 'b'), std::string(16, 'i'));
  hello.mutable_hello()->set_generation(99);
  hello.mutable_hello()->set_oldest_generation(99);
  berth::v1::Envelope ready;
  ready.mutable_ready()->set_agent_starts(1);

  const berth::UniqueFd vsock(socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_vm host = {};
  host.svm_family = AF_VSOCK;
  host.svm_cid = VMADDR_CID_HOST;
  host.svm_port = berth::wire::kReadyPort;
  const std::string bytes =
      berth::wire::EncodeMessage(hello).value() + berth::wire::EncodeMessage(ready).value();
  if (connect(vsock.get(), reinterpret_cast<const sockaddr*>(&host), sizeof(host)) != 0 ||
      send(vsock.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
          static_cast<ssize_t>(bytes.size())) {
    berth::Log(berth::LogLevel::kError, "future-agent", berth::ErrnoName(errno));
  }
  for (;;) pause();
}
