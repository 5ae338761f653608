// SPDX-License-Identifier: Apache-2.0
//
// Kernel uevents: how PID 1 waits for a device without polling for it.
#ifndef BERTH_INIT_UEVENT_H_
#define BERTH_INIT_UEVENT_H_

#include <poll.h>

#include <concepts>

#include "protocol/base/clock.h"
#include "protocol/base/io.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::init {

class UeventSocket {
 public:
  // Open it before the thing that makes devices appear (loading a driver): what happens from then
  // on is not missed.
  static Result<UeventSocket> Open();

  // Returns once `here()` is true, which is asked first and after each batch of events; ETIMEDOUT
  // at the deadline.
  template <std::predicate Condition>
  Result<> WaitUntil(Condition here, Deadline deadline) {
    while (!here()) {
      BERTH_TRY(PollFor(fd_.get(), POLLIN, deadline));
      Drain();
    }
    return {};
  }

 private:
  explicit UeventSocket(UniqueFd fd) : fd_(std::move(fd)) {}
  void Drain();

  UniqueFd fd_;
};

}  // namespace berth::init

#endif  // BERTH_INIT_UEVENT_H_
