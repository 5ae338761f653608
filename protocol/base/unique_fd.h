// SPDX-License-Identifier: Apache-2.0
//
// UniqueFd: the one owner of a file descriptor.
#ifndef BERTH_PROTOCOL_BASE_UNIQUE_FD_H_
#define BERTH_PROTOCOL_BASE_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace berth {

class [[nodiscard]] UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    Reset(other.Release());
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  // Gives the descriptor away: the caller closes it.
  [[nodiscard]] int Release() { return std::exchange(fd_, -1); }
  void Reset(int fd = -1) {
    const int old = std::exchange(fd_, fd);
    // close(2) on Linux frees the number even when it reports EINTR or EIO: never retried.
    if (old >= 0) ::close(old);
  }

 private:
  int fd_ = -1;
};

}  // namespace berth

#endif  // BERTH_PROTOCOL_BASE_UNIQUE_FD_H_
