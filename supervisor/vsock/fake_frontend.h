// SPDX-License-Identifier: Apache-2.0
//
// For tests: a hypervisor's side of vhost-user, over one end of a socket pair, with guest memory in
// a memfd. Sends what QEMU sends, in its order. One thread.
#ifndef BERTH_SUPERVISOR_VSOCK_FAKE_FRONTEND_H_
#define BERTH_SUPERVISOR_VSOCK_FAKE_FRONTEND_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "protocol/base/unique_fd.h"
#include "supervisor/vsock/vhost_user_message.h"
#include "supervisor/vsock/virtqueue.h"

namespace berth::vsock {

class FakeFrontend {
 public:
  explicit FakeFrontend(UniqueFd socket) : socket_(std::move(socket)) {}

  void Send(Request request, std::span<const std::byte> payload, std::span<const int> fds = {},
            bool need_reply = false);
  template <typename T>
  void Send(Request request, const T& payload, std::span<const int> fds = {},
            bool need_reply = false) {
    Send(request, std::as_bytes(std::span(&payload, 1)), fds, need_reply);
  }
  // What the backend has replied, if it has.
  std::optional<std::vector<std::byte>> Reply();

  int fd() const { return socket_.get(); }
  void Close() { socket_.Reset(); }

 private:
  UniqueFd socket_;
};

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_FAKE_FRONTEND_H_
