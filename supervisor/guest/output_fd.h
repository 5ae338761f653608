// SPDX-License-Identifier: Apache-2.0
//
// OutputFd: the caller's stdout or stderr, written without ever waiting, so that a reader that is
// slow does not keep signals and resizes from the guest. The descriptor is somebody else's, maybe
// shared with the caller's shell: its flags are left alone.
#ifndef BERTH_SUPERVISOR_GUEST_OUTPUT_FD_H_
#define BERTH_SUPERVISOR_GUEST_OUTPUT_FD_H_

#include <cstddef>
#include <span>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::guest {

class OutputFd {
 public:
  explicit OutputFd(int fd);

  // How many bytes it took now; 0: wait until `poll_fd` is writable. EPIPE where the reader is
  // gone.
  Result<size_t> WriteSome(std::span<const std::byte> bytes);

  int poll_fd() const { return own_ ? own_.get() : fd_; }

 private:
  enum class Way {
    kWrite,   // regular files, and what does not block
    kSend,    // sockets
    kPieces,  // a pipe or terminal of somebody else: only what poll(2) promises to fit
  };

  int fd_;
  UniqueFd own_;  // the same pipe or terminal, opened anew and non-blocking
  Way way_ = Way::kWrite;
};

}  // namespace berth::guest

#endif  // BERTH_SUPERVISOR_GUEST_OUTPUT_FD_H_
