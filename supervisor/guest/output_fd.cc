// SPDX-License-Identifier: Apache-2.0
#include "supervisor/guest/output_fd.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>

namespace berth::guest {

OutputFd::OutputFd(int fd) : fd_(fd) {
  struct stat status = {};
  if (fstat(fd, &status) != 0) return;
  if (S_ISSOCK(status.st_mode)) {
    way_ = Way::kSend;
    return;
  }
  const bool may_block = S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode);
  if (!may_block || (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0) return;
  // A file description of our own. It may be refused, where the pipe was made by another user.
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  own_.Reset(open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!own_) way_ = Way::kPieces;
}

Result<size_t> OutputFd::WriteSome(std::span<const std::byte> bytes) {
  for (;;) {
    ssize_t n = 0;
    if (way_ == Way::kSend) {
      n = send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    } else if (way_ == Way::kPieces) {
      pollfd state{.fd = fd_, .events = POLLOUT, .revents = 0};
      if (poll(&state, 1, 0) == 0) return size_t{0};
      n = write(fd_, bytes.data(), std::min<size_t>(bytes.size(), PIPE_BUF));
    } else {
      n = write(poll_fd(), bytes.data(), bytes.size());
    }
    if (n >= 0) return static_cast<size_t>(n);
    if (errno == EAGAIN) return size_t{0};
    if (errno != EINTR) return ErrnoError("write-output");
  }
}

}  // namespace berth::guest
