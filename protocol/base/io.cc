// SPDX-License-Identifier: Apache-2.0
#include "protocol/base/io.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace berth {

Result<> PollFor(int fd, short events, Deadline deadline) {
  pollfd watched{.fd = fd, .events = events, .revents = 0};
  for (;;) {
    const int n = poll(&watched, 1, deadline.PollTimeoutMs());
    if (n > 0) return {};
    if (n == 0) return Fail("poll", ETIMEDOUT, "the deadline passed");
    if (errno != EINTR) return ErrnoError("poll");
  }
}

Result<> ReadFull(int fd, std::span<std::byte> out, Deadline deadline) {
  while (!out.empty()) {
    BERTH_TRY(PollFor(fd, POLLIN, deadline));
    const ssize_t n = read(fd, out.data(), out.size());
    if (n > 0) {
      out = out.subspan(static_cast<size_t>(n));
    } else if (n == 0) {
      return Fail("read", ECONNRESET, "the peer closed in the middle of a message");
    } else if (errno != EINTR && errno != EAGAIN) {
      return ErrnoError("read");
    }
  }
  return {};
}

Result<> WriteFull(int fd, std::span<const std::byte> data, Deadline deadline) {
  while (!data.empty()) {
    BERTH_TRY(PollFor(fd, POLLOUT, deadline));
    // MSG_DONTWAIT so that a blocking socket cannot hold us past the deadline either.
    ssize_t n = send(fd, data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == ENOTSOCK) n = write(fd, data.data(), data.size());
    if (n >= 0) {
      data = data.subspan(static_cast<size_t>(n));
    } else if (errno != EINTR && errno != EAGAIN) {
      return ErrnoError("write");
    }
  }
  return {};
}

Result<std::string> ReadFile(const char* path, size_t max_bytes) {
  const UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError("open", path);
  std::string text;
  // Most files read so are small, and the agent reads two for each session: a larger first chunk
  // would be pages to map, to fault in and to give back.
  size_t chunk = 2 * 1024;
  for (;;) {
    const size_t used = text.size();
    text.resize(used + chunk);
    const ssize_t n = read(fd.get(), text.data() + used, chunk);
    chunk = std::min<size_t>(chunk * 2, 64 * 1024);
    if (n < 0 && errno == EINTR) {
      text.resize(used);
      continue;
    }
    if (n < 0) return ErrnoError("read", path);
    text.resize(used + static_cast<size_t>(n));
    if (text.size() > max_bytes) {
      return Fail("read", EFBIG,
                  std::string(path) + " is over " + std::to_string(max_bytes) + " bytes");
    }
    if (n == 0) return text;
  }
}

Result<> WriteFileAtomic(const std::string& path, std::string_view content, mode_t mode,
                         const std::optional<FileOwner>& owner) {
  const std::string temporary = path + ".new";
  // One that is there is another's, whoever may write in this directory, or was left behind.
  if (unlink(temporary.c_str()) != 0 && errno != ENOENT) return ErrnoError("unlink", temporary);
  UniqueFd fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!fd) return ErrnoError("open", temporary);
  const auto undo = [&](std::unexpected<Error> error) {
    unlink(temporary.c_str());
    return error;
  };
  while (!content.empty()) {
    const ssize_t n = write(fd.get(), content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return undo(ErrnoError("write", temporary));
    content.remove_prefix(static_cast<size_t>(n));
  }
  if (owner && fchown(fd.get(), owner->uid, owner->gid) != 0) {
    return undo(ErrnoError("chown", temporary));
  }
  // Behind the owner, for chown(2) takes setuid and setgid away; and the umask takes none.
  if (fchmod(fd.get(), mode) != 0) return undo(ErrnoError("chmod", temporary));
  if (fsync(fd.get()) != 0) return undo(ErrnoError("fsync", temporary));
  if (rename(temporary.c_str(), path.c_str()) != 0) return undo(ErrnoError("rename", path));
  const size_t slash = path.rfind('/');
  const std::string dir = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const UniqueFd dir_fd(open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir_fd || fsync(dir_fd.get()) != 0) return ErrnoError("fsync", dir);
  return {};
}

Result<> WriteKnob(const char* path, std::string_view content) {
  const UniqueFd fd(open(path, O_WRONLY | O_CLOEXEC));
  if (!fd) return ErrnoError("open", path);
  if (write(fd.get(), content.data(), content.size()) < 0) return ErrnoError("write", path);
  return {};
}

Result<> SetNonBlocking(int fd, bool on) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return ErrnoError("fcntl");
  const int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
  if (wanted != flags && fcntl(fd, F_SETFL, wanted) < 0) return ErrnoError("fcntl");
  return {};
}

namespace {

// One byte goes with the descriptor: a stream socket carries no ancillary data alone.
struct FdMessage {
  char byte = 'F';
  iovec iov{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};

  FdMessage() {
    header.msg_iov = &iov;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
  }
  FdMessage(const FdMessage&) = delete;
  FdMessage& operator=(const FdMessage&) = delete;
};

}  // namespace

Result<> SendFd(int socket, int fd, Deadline deadline) {
  FdMessage message;
  cmsghdr* header = CMSG_FIRSTHDR(&message.header);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &fd, sizeof(int));
  for (;;) {
    BERTH_TRY(PollFor(socket, POLLOUT, deadline));
    if (sendmsg(socket, &message.header, MSG_NOSIGNAL | MSG_DONTWAIT) == 1) return {};
    if (errno != EINTR && errno != EAGAIN) return ErrnoError("send-fd");
  }
}

Result<UniqueFd> ReceiveFd(int socket, Deadline deadline) {
  FdMessage message;
  for (;;) {
    BERTH_TRY(PollFor(socket, POLLIN, deadline));
    const ssize_t n = recvmsg(socket, &message.header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) return ErrnoError("receive-fd");
    if (n == 0)
      return Fail("receive-fd", ECONNRESET, "the peer closed before it sent a descriptor");
    break;
  }
  const cmsghdr* header = CMSG_FIRSTHDR(&message.header);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof(int))) {
    return Fail("receive-fd", EPROTO, "the message carries no descriptor");
  }
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof(int));
  return UniqueFd(fd);
}

}  // namespace berth
