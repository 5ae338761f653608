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
#include "protocol/base/unique_fd.h"

namespace berth::daemon {

namespace asio = boost::asio;

namespace {

// It is not to expire: only that it is cancelled matters.
constexpr time_t kFarAheadSeconds = 10L * 365 * 24 * 3600;

int CreateTimer() { return timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC); }

int ArmTimer(int fd) {
  itimerspec setting{};
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  setting.it_value.tv_sec = now.tv_sec + kFarAheadSeconds;
  return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &setting, nullptr);
}

ssize_t ReadTimer(int fd) {
  uint64_t expirations = 0;
  return read(fd, &expirations, sizeof(expirations));
}

}  // namespace

const ClockTimer kRealtimeTimer = {.create = CreateTimer, .arm = ArmTimer, .read = ReadTimer};

ClockWatch::ClockWatch(asio::any_io_executor executor, std::function<void()> changed,
                       const ClockTimer& timer)
    : executor_(executor), changed_(std::move(changed)), kernel_(timer), timer_(executor) {}

void ClockWatch::Start() {
  UniqueFd fd(kernel_.create());
  if (!fd) {
    return spdlog::warn("clock: {}: that this host's clock is set will not be noticed",
                        ErrnoText(errno));
  }
  timer_.assign(fd.Release());
  if (Arm()) asio::co_spawn(executor_, Follow(), asio::detached);
}

void ClockWatch::Stop() {
  boost::system::error_code ignored;
  timer_.close(ignored);
}

bool ClockWatch::Arm() {
  // Whose clock is set twice in a row hears of the second time here, and of no cancelling.
  if (kernel_.arm(timer_.native_handle()) == 0) return true;
  if (errno == ECANCELED) {
    Tell();
    return true;
  }
  spdlog::warn("clock: {}: that this host's clock is set will not be noticed any more",
               ErrnoText(errno));
  return false;
}

void ClockWatch::Tell() {
  spdlog::info("clock: this host's clock was set, or the host has slept");
  changed_();
}

asio::awaitable<void> ClockWatch::Follow() {
  for (;;) {
    boost::system::error_code code;
    co_await timer_.async_wait(asio::posix::stream_descriptor::wait_read,
                               asio::redirect_error(asio::use_awaitable, code));
    if (code) co_return;
    const ssize_t n = kernel_.read(timer_.native_handle());
    const bool cancelled = n < 0 && errno == ECANCELED;
    if (n < 0 && !cancelled) continue;
    if (!Arm()) co_return;
    if (cancelled) Tell();
  }
}

}  // namespace berth::daemon
