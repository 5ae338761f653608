// SPDX-License-Identifier: Apache-2.0
//
// Notifier: "something changed, look again" for coroutines of one thread. A waiter checks its
// condition, waits, and checks again; nothing is handed over by the notification itself, so none
// can be lost. Waiters may outlive the Notifier: their waits then end at their deadlines.
#ifndef BERTH_SUPERVISOR_LIFECYCLE_NOTIFIER_H_
#define BERTH_SUPERVISOR_LIFECYCLE_NOTIFIER_H_

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <list>
#include <memory>

#include "protocol/base/clock.h"

namespace berth::lifecycle {

// Long enough to be none: for waits that only NotifyAll ends. The flows of a VM have deadlines of
// their own, and end in a notification.
inline constexpr auto kUntilNotified = std::chrono::hours(1);

class Notifier {
 public:
  explicit Notifier(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

  void NotifyAll() {
    for (boost::asio::steady_timer* timer : *waiters_) timer->cancel();
  }

  // Returns at the next NotifyAll, at the deadline, or now and then for no reason.
  boost::asio::awaitable<void> Wait(Deadline deadline) {
    boost::asio::steady_timer timer(executor_, deadline.at());
    const auto waiters = waiters_;
    const auto place = waiters->insert(waiters->end(), &timer);
    boost::system::error_code ignored;
    co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
    waiters->erase(place);
  }

 private:
  using Waiters = std::list<boost::asio::steady_timer*>;
  boost::asio::any_io_executor executor_;
  std::shared_ptr<Waiters> waiters_ = std::make_shared<Waiters>();
};

}  // namespace berth::lifecycle

#endif  // BERTH_SUPERVISOR_LIFECYCLE_NOTIFIER_H_
