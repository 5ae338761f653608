// SPDX-License-Identifier: Apache-2.0
//
// ClockWatch: tells when the host's realtime clock was set, and when the host has slept: the
// kernel cancels a timer of CLOCK_REALTIME then (TFD_TIMER_CANCEL_ON_SET, timerfd_create(2)). One
// thread; outlives its executor's work once stopped.
#ifndef BERTH_SUPERVISOR_DAEMON_CLOCK_WATCH_H_
#define BERTH_SUPERVISOR_DAEMON_CLOCK_WATCH_H_

#include <sys/types.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>

namespace berth::daemon {

// What a ClockWatch asks of the kernel; a test must not set this machine's clock, and has its own.
// Each returns what the system call of its name does, with errno.
struct ClockTimer {
  int (*create)();          // a descriptor that polls readable when it was cancelled
  int (*arm)(int fd);       // ECANCELED: it is armed, and the clock was set since it was last read
  ssize_t (*read)(int fd);  // ECANCELED: the clock was set
};
extern const ClockTimer kRealtimeTimer;

class ClockWatch {
 public:
  ClockWatch(boost::asio::any_io_executor executor, std::function<void()> changed,
             const ClockTimer& timer = kRealtimeTimer);
  ClockWatch(const ClockWatch&) = delete;
  ClockWatch& operator=(const ClockWatch&) = delete;

  // A kernel without such timers is told of in the log, and nothing else happens.
  void Start();
  void Stop();

 private:
  boost::asio::awaitable<void> Follow();
  // False where the timer cannot be armed, which the log says.
  bool Arm();
  void Tell();

  boost::asio::any_io_executor executor_;
  std::function<void()> changed_;
  const ClockTimer kernel_;
  boost::asio::posix::stream_descriptor timer_;
};

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_CLOCK_WATCH_H_
