// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/fake_frontend.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "supervisor/vsock/limits.h"

namespace berth::vsock {

void FakeFrontend::Send(Request request, std::span<const std::byte> payload,
                        std::span<const int> fds, bool need_reply) {
  const MessageHeader header{static_cast<uint32_t>(request),
                             need_reply ? kVhostVersion | kVhostNeedReply : kVhostVersion,
                             static_cast<uint32_t>(payload.size())};
  std::vector<std::byte> bytes(sizeof(header) + payload.size());
  std::memcpy(bytes.data(), &header, sizeof(header));
  std::ranges::copy(payload, bytes.begin() + sizeof(header));
  iovec part{bytes.data(), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxMemoryRegions * sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
  }
  // A backend that has gone away is the test's to notice.
  [[maybe_unused]] const ssize_t n = sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
}

std::optional<std::vector<std::byte>> FakeFrontend::Reply() {
  MessageHeader header;
  if (recv(socket_.get(), &header, sizeof(header), MSG_DONTWAIT) != sizeof(header)) {
    return std::nullopt;
  }
  std::vector<std::byte> payload(header.payload_bytes);
  if (recv(socket_.get(), payload.data(), payload.size(), MSG_DONTWAIT) !=
      static_cast<ssize_t>(payload.size())) {
    return std::nullopt;
  }
  return payload;
}

}  // namespace berth::vsock
