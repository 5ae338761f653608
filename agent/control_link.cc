// SPDX-License-Identifier: Apache-2.0
#include "agent/control_link.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>

#include "protocol/wire/expiry.h"
#include "protocol/wire/limits.h"

namespace berth::agent {

namespace asio = boost::asio;

ControlLink::ControlLink(const asio::any_io_executor& executor, UniqueFd socket)
    : socket_(executor, socket.Release()) {}

std::optional<ControlMessage> ControlLink::TryRead() {
  for (;;) {
    ControlMessage message;
    iovec part{&message.packet, sizeof(message.packet)};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxControlFds)];
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    const ssize_t n =
        recvmsg(socket_.native_handle(), &header, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
    const cmsghdr* const rights = n > 0 ? CMSG_FIRSTHDR(&header) : nullptr;
    if (rights != nullptr && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS) {
      const size_t count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < std::min(count, kMaxControlFds); ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(rights) + i * sizeof(int), sizeof(int));
        message.fds[i].Reset(fd);
      }
    }
    if (n == static_cast<ssize_t>(sizeof(message.packet))) return message;
    if (n > 0 || (n < 0 && errno == EINTR)) continue;  // of another size: not ours
    closed_ = n == 0 || errno != EAGAIN;
    return std::nullopt;
  }
}

asio::awaitable<BootRecord> ControlLink::ReadBoot(Deadline deadline) {
  BootRecord record;
  wire::Expiry expiry(socket_.get_executor());
  for (;;) {
    const auto message = TryRead();
    const ControlPacket* const packet = message ? &message->packet : nullptr;
    if (packet != nullptr && packet->kind == ControlKind::kBootPhasesEnd) {
      record.agent_starts = packet->agent_starts;
      co_return record;
    }
    if (packet != nullptr) {
      if (packet->kind == ControlKind::kBootPhase &&
          record.phases.size() < static_cast<size_t>(wire::kMaxBootPhases)) {
        record.phases.push_back(
            {std::string(packet->name, strnlen(packet->name, sizeof(packet->name))),
             packet->monotonic_ns});
      }
      continue;
    }
    if (closed_) co_return record;
    expiry.Arm(deadline, socket_);
    boost::system::error_code code;
    co_await socket_.async_wait(asio::posix::stream_descriptor::wait_read,
                                asio::redirect_error(asio::use_awaitable, code));
    if (expiry.Disarm() || code) co_return record;
  }
}

asio::awaitable<std::optional<ControlMessage>> ControlLink::Read() {
  for (;;) {
    if (auto message = TryRead()) co_return std::move(message);
    if (closed_) co_return std::nullopt;
    boost::system::error_code code;
    co_await socket_.async_wait(asio::posix::stream_descriptor::wait_read,
                                asio::redirect_error(asio::use_awaitable, code));
    if (code) co_return std::nullopt;
  }
}

Result<> ControlLink::RequestShutdown(ShutdownMode mode, int64_t grace_ms) {
  const ControlPacket packet{.kind = ControlKind::kShutdown, .mode = mode, .grace_ms = grace_ms};
  if (send(socket_.native_handle(), &packet, sizeof(packet), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    return ErrnoError("shutdown", "the control socket to PID 1", "stop the VM by force");
  }
  return {};
}

}  // namespace berth::agent
