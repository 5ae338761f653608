// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/vhost_user_channel.h"

#include <sys/socket.h>

#include <string>
#include <utility>

#include "protocol/base/clock.h"
#include "protocol/base/io.h"
#include "supervisor/vsock/limits.h"

namespace berth::vsock {

Result<bool> VhostUserChannel::Fill(std::span<std::byte> out, size_t* have) {
  while (*have < out.size()) {
    iovec part{out.data() + *have, out.size() - *have};
    alignas(cmsghdr) char control[CMSG_SPACE(kMaxMemoryRegions * sizeof(int))];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    const ssize_t n = recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return false;
    if (n < 0 && errno != ECONNRESET) return ErrnoError("vhost-user-receive");
    if (n <= 0) {
      if (header_have_ > 0) {
        return Fail("vhost-user-receive", ECONNRESET, "the hypervisor closed within a message");
      }
      closed_ = true;
      return false;
    }
    // Taken before anything is checked: from here on they are ours to close.
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
      const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
        message_.fds.emplace_back(fd);
      }
    }
    *have += static_cast<size_t>(n);
    if ((message.msg_flags & MSG_CTRUNC) != 0 || message_.fds.size() > kMaxMemoryRegions) {
      return Fail("vhost-user-receive", EPROTO, "more descriptors than any request carries");
    }
  }
  return true;
}

Result<std::optional<Message>> VhostUserChannel::Receive() {
  const auto header_bytes = std::as_writable_bytes(std::span(&message_.header, 1));
  if (header_have_ < header_bytes.size()) {
    BERTH_ASSIGN(const bool whole, Fill(header_bytes, &header_have_));
    if (!whole) return std::nullopt;
    BERTH_TRY(CheckHeader(message_.header));
    message_.payload.resize(message_.header.payload_bytes);
  }
  BERTH_ASSIGN(const bool whole, Fill(message_.payload, &payload_have_));
  if (!whole) return std::nullopt;
  header_have_ = 0;
  payload_have_ = 0;
  return std::exchange(message_, Message());
}

Result<> VhostUserChannel::Reply(const MessageHeader& to, std::span<const std::byte> payload) {
  const MessageHeader header{.request = to.request,
                             .flags = kVhostVersion | kVhostReply,
                             .payload_bytes = static_cast<uint32_t>(payload.size())};
  std::vector<std::byte> bytes(sizeof(header) + payload.size());
  std::memcpy(bytes.data(), &header, sizeof(header));
  if (!payload.empty()) std::memcpy(bytes.data() + sizeof(header), payload.data(), payload.size());
  return WriteFull(socket_.get(), std::span<const std::byte>(bytes),
                   Deadline::In(kVhostReplyTimeout));
}

}  // namespace berth::vsock
