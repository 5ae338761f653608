// SPDX-License-Identifier: Apache-2.0
//
// ClockWatch: tells when the host's realtime clock was set, and when the host has slept: the
// kernel cancels a timer of CLOCK_REALTIME then (TFD_TIMER_CANCEL_ON_SET, timerfd_create(2)). One
// thread; outlives its executor's work once stopped.
#ifndef BERTH_SUPERVISOR_DAEMON_CLOCK_WATCH_H_
#define BERTH_SUPERVISOR_DAEMON_CLOCK_WATCH_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>

namespace berth::daemon {

class ClockWatch {
 public:
  ClockWatch(boost::asio::any_io_executor executor, std::function<void()> changed);
  ClockWatch(const ClockWatch&) = delete;
  ClockWatch& operator=(const ClockWatch&) = delete;

  // A kernel without such timers is told of in the log, and nothing else happens.
  void Start();
  void Stop();

 private:
  boost::asio::awaitable<void> Follow();
  bool Arm();

  boost::asio::any_io_executor executor_;
  std::function<void()> changed_;
  boost::asio::posix::stream_descriptor timer_;
};

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_CLOCK_WATCH_H_
