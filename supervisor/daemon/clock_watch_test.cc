// SPDX-License-Identifier: Apache-2.0
//
// ClockWatch, over a timer that the test cancels as the kernel does: this machine's clock is left
// alone.
#include "supervisor/daemon/clock_watch.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cerrno>

namespace berth::daemon {
namespace {

constexpr auto kPatience = std::chrono::seconds(30);

// The timer of the watch under test; there is one at a time.
struct Kernel {
  int fd = -1;
  int armed = 0;
  int arm_errnum = 0;  // of the next arm alone
};
Kernel* kernel = nullptr;

const ClockTimer kScriptedTimer = {
    .create = [] { return kernel->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); },
    .arm =
        [](int fd) {
          EXPECT_EQ(fd, kernel->fd);
          ++kernel->armed;
          errno = std::exchange(kernel->arm_errnum, 0);
          return errno == 0 ? 0 : -1;
        },
    .read = [](int fd) -> ssize_t {
      eventfd_t value = 0;
      if (eventfd_read(fd, &value) == 0) errno = ECANCELED;
      return -1;
    }};

class ClockWatchTest : public testing::Test {
 protected:
  ClockWatchTest() { kernel = &kernel_; }
  ~ClockWatchTest() override { kernel = nullptr; }

  void SetClock() { EXPECT_EQ(eventfd_write(kernel_.fd, 1), 0); }
  // Until it was told so often.
  void RunUntilTold(int times) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (told_ < times && context_.run_one_until(end) != 0) continue;
    EXPECT_EQ(told_, times);
  }

  Kernel kernel_;
  int told_ = 0;
  boost::asio::io_context context_;
  ClockWatch watch_{context_.get_executor(), [this] { ++told_; }, kScriptedTimer};
};

TEST_F(ClockWatchTest, TellsEachTimeThatTheClockWasSet) {
  watch_.Start();
  EXPECT_EQ(kernel_.armed, 1);
  SetClock();
  RunUntilTold(1);
  EXPECT_EQ(kernel_.armed, 2);
  SetClock();
  RunUntilTold(2);
  EXPECT_EQ(kernel_.armed, 3);
}

// The kernel says so by the return of timerfd_settime alone, and cancels nothing then.
TEST_F(ClockWatchTest, AClockThatIsSetWhileTheTimerIsArmedIsToldOfAndWatchedOn) {
  watch_.Start();
  kernel_.arm_errnum = ECANCELED;
  SetClock();
  RunUntilTold(2);
  SetClock();
  RunUntilTold(3);
}

TEST_F(ClockWatchTest, ATimerThatCannotBeArmedEndsTheWatch) {
  watch_.Start();
  kernel_.arm_errnum = EINVAL;
  SetClock();
  context_.run_for(kPatience);
  EXPECT_TRUE(context_.stopped());
  EXPECT_EQ(kernel_.armed, 2);
}

TEST_F(ClockWatchTest, NothingIsToldOnceItIsStopped) {
  watch_.Start();
  SetClock();
  watch_.Stop();
  context_.run_for(kPatience);
  EXPECT_TRUE(context_.stopped());
  EXPECT_EQ(told_, 0);
}

TEST(ClockWatch, TheKernelsTimerCanBeArmed) {
  const int fd = kRealtimeTimer.create();
  ASSERT_GE(fd, 0);
  EXPECT_EQ(kRealtimeTimer.arm(fd), 0);
  EXPECT_EQ(kRealtimeTimer.read(fd), -1);
  EXPECT_EQ(errno, EAGAIN);
  close(fd);
}

}  // namespace
}  // namespace berth::daemon
