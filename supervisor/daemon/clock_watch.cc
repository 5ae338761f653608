// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/clock_watch.h"

#include <spdlog/spdlog.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "protocol/base/result.h"

namespace berth::daemon {

namespace asio = boost::asio;

namespace {

// It is not to expire: only that it is cancelled matters.
constexpr time_t kFarAheadSeconds = 10L * 365 * 24 * 3600;

}  // namespace

ClockWatch::ClockWatch(asio::any_io_executor executor, std::function<void()> changed)
    : executor_(executor), changed_(std::move(changed)), timer_(executor) {}

void ClockWatch::Start() {
  const int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
  if (fd >= 0) timer_.assign(fd);
  if (fd < 0 || !Arm()) {
    return spdlog::warn("clock: {}: that this host's clock was set will not be noticed",
                        ErrnoText(errno));
  }
  asio::co_spawn(executor_, Follow(), asio::detached);
}

void ClockWatch::Stop() {
  boost::system::error_code ignored;
  timer_.close(ignored);
}

bool ClockWatch::Arm() {
  itimerspec setting{};
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  setting.it_value.tv_sec = now.tv_sec + kFarAheadSeconds;
  return timerfd_settime(timer_.native_handle(), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
                         &setting, nullptr) == 0;
}

asio::awaitable<void> ClockWatch::Follow() {
  for (;;) {
    boost::system::error_code code;
    co_await timer_.async_wait(asio::posix::stream_descriptor::wait_read,
                               asio::redirect_error(asio::use_awaitable, code));
    if (code) co_return;
    uint64_t expirations = 0;
    const ssize_t n = read(timer_.native_handle(), &expirations, sizeof(expirations));
    const bool cancelled = n < 0 && errno == ECANCELED;
    if (n < 0 && !cancelled) continue;
    if (!Arm()) co_return;
    if (cancelled) {
      spdlog::info("clock: this host's clock was set, or the host has slept");
      changed_();
    }
  }
}

}  // namespace berth::daemon
