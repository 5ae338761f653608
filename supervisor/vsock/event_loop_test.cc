// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/event_loop.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <functional>

namespace berth::vsock {
namespace {

struct Handler final : EventHandler {
  void OnEvents(uint32_t events) override {
    ++calls;
    last = events;
    if (act) act();
  }
  int calls = 0;
  uint32_t last = 0;
  std::function<void()> act;
};

UniqueFd Raised() { return UniqueFd(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)); }

TEST(EventLoopTest, AnEventOfAWatchThatWentInTheSameWakeIsDropped) {
  const auto loop = EventLoop::Create().value();
  const UniqueFd first = Raised();
  const UniqueFd second = Raised();
  Handler a;
  Handler b;
  Watch watch_a = loop->Add(first.get(), EPOLLIN, &a).value();
  Watch watch_b = loop->Add(second.get(), EPOLLIN, &b).value();
  // Whichever is called first removes the other, and puts a new watch into its slot.
  Handler c;
  Watch watch_c;
  const UniqueFd silent(eventfd(0, EFD_CLOEXEC));
  const auto replace = [&](Watch* victim) {
    victim->Reset();
    watch_c = loop->Add(silent.get(), EPOLLIN, &c).value();
  };
  a.act = [&] { replace(&watch_b); };
  b.act = [&] { replace(&watch_a); };
  ASSERT_TRUE(loop->Poll(TimePoint()));
  EXPECT_EQ(a.calls + b.calls, 1);
  EXPECT_EQ(c.calls, 0);
}

TEST(EventLoopTest, AHandlerMayRemoveItsOwnWatch) {
  const auto loop = EventLoop::Create().value();
  const UniqueFd fd = Raised();
  Handler handler;
  Watch watch = loop->Add(fd.get(), EPOLLIN, &handler).value();
  handler.act = [&] { watch.Reset(); };
  ASSERT_TRUE(loop->Poll(TimePoint()));
  ASSERT_TRUE(loop->Poll(TimePoint()));
  EXPECT_EQ(handler.calls, 1);
}

TEST(EventLoopTest, AnUnreadEventfdIsAnEdgeForEachWrite) {
  // What kicks rely on: they are never read.
  const auto loop = EventLoop::Create().value();
  const UniqueFd fd = Raised();
  Handler handler;
  const Watch watch = loop->Add(fd.get(), EPOLLIN | EPOLLET, &handler).value();
  ASSERT_TRUE(loop->Poll(TimePoint()));
  ASSERT_TRUE(loop->Poll(TimePoint()));
  EXPECT_EQ(handler.calls, 1);
  ASSERT_EQ(eventfd_write(fd.get(), 1), 0);
  ASSERT_TRUE(loop->Poll(TimePoint()));
  EXPECT_EQ(handler.calls, 2);
}

TEST(EventLoopTest, WantChangesWhatIsReported) {
  const auto loop = EventLoop::Create().value();
  const UniqueFd fd = Raised();
  Handler handler;
  Watch watch = loop->Add(fd.get(), 0, &handler).value();
  ASSERT_TRUE(loop->Poll(TimePoint()));
  EXPECT_EQ(handler.calls, 0);
  watch.Want(EPOLLOUT);
  ASSERT_TRUE(loop->Poll(TimePoint()));
  EXPECT_EQ(handler.last, uint32_t{EPOLLOUT});
}

TEST(EventLoopTest, AddOfABadDescriptorFailsAndLeavesTheLoopUsable) {
  const auto loop = EventLoop::Create().value();
  Handler handler;
  EXPECT_FALSE(loop->Add(-1, EPOLLIN, &handler));
  const UniqueFd fd = Raised();
  const Watch watch = loop->Add(fd.get(), EPOLLIN, &handler).value();
  ASSERT_TRUE(loop->Poll(TimePoint()));
  EXPECT_EQ(handler.calls, 1);
}

}  // namespace
}  // namespace berth::vsock
