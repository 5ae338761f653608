// SPDX-License-Identifier: Apache-2.0
//
// Expiry: cancels the pending operations of a socket when a deadline passes. One wait at a time; it
// may be destroyed at any moment, also with its timer already due. Runs on the socket's executor,
// which must be single-threaded.
#ifndef BERTH_PROTOCOL_WIRE_EXPIRY_H_
#define BERTH_PROTOCOL_WIRE_EXPIRY_H_

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>

#include "protocol/base/clock.h"

namespace berth::wire {

class Expiry {
 public:
  explicit Expiry(const boost::asio::any_io_executor& executor)
      : state_(std::make_shared<State>(executor)) {}
  Expiry(const Expiry&) = delete;
  Expiry& operator=(const Expiry&) = delete;
  ~Expiry() { Disarm(); }

  // Calls socket.cancel() at the deadline, unless Disarm comes first.
  template <typename Socket>
  void Arm(Deadline deadline, Socket& socket) {
    Disarm();
    state_->fired = false;
    state_->cancel = [&socket] {
      boost::system::error_code ignored;
      socket.cancel(ignored);
    };
    state_->timer.expires_at(deadline.at());
    state_->timer.async_wait(
        [state = state_, epoch = state_->epoch](const boost::system::error_code& code) {
          // An expiry that was already queued when it was disarmed must not end the next wait.
          if (code || epoch != state->epoch) return;
          state->fired = true;
          state->cancel();
        });
  }

  // True where the deadline had passed and the operations were cancelled.
  bool Disarm() {
    ++state_->epoch;
    if (state_->cancel) state_->timer.cancel();
    state_->cancel = nullptr;
    return state_->fired;
  }

 private:
  struct State {
    explicit State(const boost::asio::any_io_executor& executor) : timer(executor) {}
    boost::asio::steady_timer timer;
    std::function<void()> cancel;
    uint64_t epoch = 0;  // which wait the timer stands for
    bool fired = false;
  };
  std::shared_ptr<State> state_;
};

}  // namespace berth::wire

#endif  // BERTH_PROTOCOL_WIRE_EXPIRY_H_
