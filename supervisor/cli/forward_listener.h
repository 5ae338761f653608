// SPDX-License-Identifier: Apache-2.0
//
// ForwardListener: a listening socket of `berth forward` on the host. A Unix socket's file is
// removed with it, where it is still the one that this made. One thread; never waits.
#ifndef BERTH_SUPERVISOR_CLI_FORWARD_LISTENER_H_
#define BERTH_SUPERVISOR_CLI_FORWARD_LISTENER_H_

#include <sys/types.h>

#include <string>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"
#include "supervisor/cli/forward_spec.h"

namespace berth::cli {

class ForwardListener {
 public:
  // Port 0 becomes one that is free. A Unix socket has mode 0600, and takes the place of one that
  // nobody listens on. Step "listen".
  static Result<ForwardListener> Open(ForwardEnd local);

  ForwardListener(ForwardListener&& other) noexcept;
  ForwardListener& operator=(ForwardListener&&) = delete;
  ~ForwardListener();

  int fd() const { return fd_.get(); }
  const ForwardEnd& local() const { return local_; }
  // EAGAIN where nobody waits.
  Result<UniqueFd> Accept() const;

 private:
  ForwardListener(UniqueFd fd, ForwardEnd local) : fd_(std::move(fd)), local_(std::move(local)) {}

  UniqueFd fd_;
  ForwardEnd local_;
  dev_t device_ = 0;  // of the Unix socket's file
  ino_t inode_ = 0;
};

}  // namespace berth::cli

#endif  // BERTH_SUPERVISOR_CLI_FORWARD_LISTENER_H_
