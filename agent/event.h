// SPDX-License-Identifier: Apache-2.0
//
// Event: how handlers wake the one coroutine that waits for them. A notification with nobody
// waiting is kept, several become one. Runs on one single-threaded executor.
#ifndef BERTH_AGENT_EVENT_H_
#define BERTH_AGENT_EVENT_H_

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <utility>

namespace berth::agent {

class Event {
 public:
  explicit Event(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  // Returns once notified. One coroutine at a time.
  boost::asio::awaitable<void> Wait() {
    if (std::exchange(notified_, false)) co_return;
    co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>&, void()>(
        [this](auto handler) {
          waiter_ = std::make_unique<WaiterOf<decltype(handler)>>(std::move(handler));
        },
        boost::asio::use_awaitable);
  }

  void Notify() {
    if (!waiter_) {
      notified_ = true;
      return;
    }
    // Posted, not called: the handler that notifies must not find itself inside the coroutine.
    std::exchange(waiter_, nullptr)->Resume(executor_);
  }

 private:
  struct Waiter {
    virtual ~Waiter() = default;
    virtual void Resume(const boost::asio::any_io_executor& executor) = 0;
  };
  template <typename Handler>
  struct WaiterOf final : Waiter {
    explicit WaiterOf(Handler its_handler) : handler(std::move(its_handler)) {}
    void Resume(const boost::asio::any_io_executor& executor) override {
      boost::asio::post(executor, std::move(handler));
    }
    Handler handler;
  };

  boost::asio::any_io_executor executor_;
  std::unique_ptr<Waiter> waiter_;
  bool notified_ = false;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EVENT_H_
