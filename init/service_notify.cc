// SPDX-License-Identifier: Apache-2.0
#include "init/service_notify.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "protocol/base/text.h"
#include "protocol/base/unix_address.h"

namespace berth::init {
namespace {

// In one call: somebody who writes rubbish without end does not hold PID 1.
constexpr int kMaxDropped = 16;
constexpr int kMaxDrained = 1024;  // more than a queue of the usual length holds

}  // namespace

NotifyMessage ParseNotify(std::string_view text) {
  NotifyMessage message;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line == "READY=1") {
      message.ready = true;
    } else if (line == "STOPPING=1") {
      message.stopping = true;
    } else if (line.starts_with("STATUS=")) {
      message.status = Utf8(line.substr(7), kMaxNotifyStatusBytes);
    }
  }
  return message;
}

Result<NotifySocket> NotifySocket::Open(const std::string& path) {
  BERTH_ASSIGN(const sockaddr_un address, UnixAddress("notify", path));
  UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return ErrnoError("notify", "socket");
  const int on = 1;
  if (setsockopt(fd.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0) {
    return ErrnoError("notify", "SO_PASSCRED");
  }
  unlink(path.c_str());
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return ErrnoError("notify", "bind to " + path);
  }
  // The service may be anybody.
  if (chmod(path.c_str(), 0666) != 0) return ErrnoError("notify", "chmod of " + path);
  return NotifySocket(std::move(fd), path);
}

void NotifySocket::Drain() {
  for (int i = 0; i < kMaxDrained && recv(fd_.get(), nullptr, 0, MSG_DONTWAIT) >= 0; ++i) {
  }
}

std::optional<NotifySocket::Received> NotifySocket::Take() {
  for (int tries = 0; tries < kMaxDropped; ++tries) {
    char text[kMaxNotifyBytes];
    iovec part{text, sizeof(text)};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))];
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    const ssize_t n = recvmsg(fd_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::nullopt;
    ucred who{};
    // There is room for one, and the kernel puts the sender first; descriptors that came with it it
    // has closed for want of room.
    const cmsghdr* first = CMSG_FIRSTHDR(&header);
    if (first != nullptr && first->cmsg_level == SOL_SOCKET &&
        first->cmsg_type == SCM_CREDENTIALS) {
      memcpy(&who, CMSG_DATA(first), sizeof(who));
    }
    if (who.pid <= 0 || (header.msg_flags & MSG_TRUNC) != 0) continue;
    return Received{who.pid, who.uid, ParseNotify(std::string_view(text, static_cast<size_t>(n)))};
  }
  return std::nullopt;
}

}  // namespace berth::init
