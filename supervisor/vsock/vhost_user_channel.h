// SPDX-License-Identifier: Apache-2.0
//
// Whole vhost-user messages over a non-blocking Unix socket, with their descriptors. Owned by the
// backend; one thread.
#ifndef BERTH_SUPERVISOR_VSOCK_VHOST_USER_CHANNEL_H_
#define BERTH_SUPERVISOR_VSOCK_VHOST_USER_CHANNEL_H_

#include <cstddef>
#include <optional>
#include <span>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"
#include "supervisor/vsock/vhost_user_message.h"

namespace berth::vsock {

class VhostUserChannel {
 public:
  explicit VhostUserChannel(UniqueFd socket) : socket_(std::move(socket)) {}

  // The next message; nullopt where it has not come in full yet. Sizes and version are checked,
  // content is not.
  Result<std::optional<Message>> Receive();
  // The other end has closed, between two messages.
  bool closed() const { return closed_; }

  // Answers `to` with `payload`; waits up to kVhostReplyTimeout for a peer that does not read.
  Result<> Reply(const MessageHeader& to, std::span<const std::byte> payload);

  int fd() const { return socket_.get(); }

 private:
  // Reads on towards `out`, which has `have` bytes already. False where there is no more for now.
  Result<bool> Fill(std::span<std::byte> out, size_t* have);

  UniqueFd socket_;
  bool closed_ = false;
  Message message_;  // the one being received
  size_t header_have_ = 0;
  size_t payload_have_ = 0;
};

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_VHOST_USER_CHANNEL_H_
