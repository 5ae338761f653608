// SPDX-License-Identifier: Apache-2.0
#include "supervisor/guest/signal_capture.h"

#include <sys/signalfd.h>
#include <unistd.h>

namespace berth::guest {

SignalCapture::SignalCapture(std::initializer_list<int> signals) {
  sigset_t captured;
  sigemptyset(&captured);
  sigaddset(&captured, SIGPIPE);
  for (const int each : signals) sigaddset(&captured, each);
  pthread_sigmask(SIG_BLOCK, &captured, &old_mask_);
  fd_.Reset(signalfd(-1, &captured, SFD_CLOEXEC | SFD_NONBLOCK));
}

SignalCapture::~SignalCapture() {
  // What came since the last look was meant for the session, which is over; SIGPIPE for nobody.
  while (Take()) {
  }
  pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
}

std::optional<int> SignalCapture::Take() {
  signalfd_siginfo info;
  while (fd_ && read(fd_.get(), &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
    if (info.ssi_signo != SIGPIPE) return static_cast<int>(info.ssi_signo);
  }
  return std::nullopt;
}

}  // namespace berth::guest
