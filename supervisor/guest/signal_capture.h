// SPDX-License-Identifier: Apache-2.0
//
// SignalCapture: while it lives, the signals it names reach the calling thread as readable bytes of
// a descriptor and not as handlers or as death. Restores the thread's mask. SIGPIPE is swallowed.
#ifndef BERTH_SUPERVISOR_GUEST_SIGNAL_CAPTURE_H_
#define BERTH_SUPERVISOR_GUEST_SIGNAL_CAPTURE_H_

#include <signal.h>

#include <initializer_list>
#include <optional>

#include "protocol/base/unique_fd.h"

namespace berth::guest {

class SignalCapture {
 public:
  SignalCapture(std::initializer_list<int> signals);
  ~SignalCapture();
  SignalCapture(const SignalCapture&) = delete;
  SignalCapture& operator=(const SignalCapture&) = delete;

  int fd() const { return fd_.get(); }
  // The next signal that came, SIGPIPE left out.
  std::optional<int> Take();

 private:
  sigset_t old_mask_{};
  UniqueFd fd_;
};

}  // namespace berth::guest

#endif  // BERTH_SUPERVISOR_GUEST_SIGNAL_CAPTURE_H_
