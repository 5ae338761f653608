// SPDX-License-Identifier: Apache-2.0
#include "protocol/wire/readiness.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "protocol/base/unique_fd.h"

namespace berth::wire {
namespace {

namespace asio = boost::asio;
using Descriptor = asio::posix::stream_descriptor;

constexpr auto kMoment = std::chrono::milliseconds(20);

struct Pipe {
  Pipe() {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    out.Reset(ends[0]);
    in.Reset(ends[1]);
  }
  void Fill() const { EXPECT_EQ(write(in.get(), "x", 1), 1); }

  UniqueFd out;
  UniqueFd in;
};

// Two are ready in one look of the reactor's; what the first one sets off closes the other, and
// waits for a third that has nothing.
TEST(ReadinessTest, WhatEpollSaidOfAnotherIsNoReadiness) {
  asio::io_context context(1);
  Pipe one;
  Pipe other;
  const Pipe third;
  Descriptor first(context, one.out.Release());
  Descriptor second(context, other.out.Release());
  std::optional<boost::system::error_code> told;
  int heard = 0;
  const auto act = [&](Descriptor& closed) -> asio::awaitable<void> {
    if (heard++ > 0) co_return;
    closed.close();
    Descriptor waiting(context, dup(third.out.get()));
    told = co_await AwaitReady(waiting, Descriptor::wait_read, Deadline::In(kMoment));
  };
  const auto watch = [&](Descriptor& mine, Descriptor& closed) {
    mine.async_wait(Descriptor::wait_read, [&](const boost::system::error_code&) {
      asio::co_spawn(context, act(closed), asio::detached);
    });
  };
  watch(first, second);
  watch(second, first);
  one.Fill();
  other.Fill();
  context.run();
  EXPECT_EQ(told, asio::error::timed_out);
}

TEST(ReadinessTest, ReadyIsTold) {
  asio::io_context context(1);
  Pipe pipe;
  pipe.Fill();
  Descriptor descriptor(context, pipe.out.Release());
  std::optional<boost::system::error_code> told;
  asio::co_spawn(
      context,
      [&]() -> asio::awaitable<void> {
        told = co_await AwaitReady(descriptor, Descriptor::wait_read);
      },
      asio::detached);
  context.run();
  EXPECT_EQ(told, boost::system::error_code());
}

}  // namespace
}  // namespace berth::wire
