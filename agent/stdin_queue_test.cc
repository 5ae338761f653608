// SPDX-License-Identifier: Apache-2.0
#include "agent/stdin_queue.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "protocol/base/unique_fd.h"

namespace berth::agent {
namespace {

using ::testing::HasSubstr;

class StdinQueueTest : public ::testing::Test {
 protected:
  StdinQueueTest() {
    signal(SIGPIPE, SIG_IGN);
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    program_.Reset(ends[0]);
    ours_.Reset(ends[1]);
    // A page: small enough to be full soon.
    EXPECT_GT(fcntl(ours_.get(), F_SETPIPE_SZ, 4096), 0);
    queue_.emplace(ours_.get(), false, pool_);
  }
  Result<> Take(size_t bytes, char fill = 'x') {
    const std::string text(bytes, fill);
    return queue_->Take(std::as_bytes(std::span(text)));
  }
  std::string ProgramReads() {
    std::string text;
    char chunk[4096];
    for (ssize_t n; (n = read(program_.get(), chunk, sizeof(chunk))) > 0;) {
      text.append(chunk, static_cast<size_t>(n));
    }
    return text;
  }

  UniqueFd program_;
  UniqueFd ours_;
  BufferPool pool_;
  std::optional<StdinQueue> queue_;
};

TEST_F(StdinQueueTest, WhatFitsGoesStraightThrough) {
  ASSERT_TRUE(Take(100));
  EXPECT_FALSE(queue_->blocked());
  EXPECT_EQ(ProgramReads().size(), 100u);
}

TEST_F(StdinQueueTest, WhatDoesNotFitWaitsInOrder) {
  ASSERT_TRUE(Take(5000, 'a'));
  ASSERT_TRUE(Take(5000, 'b'));
  EXPECT_TRUE(queue_->blocked());
  std::string text;
  for (int i = 0; i < 10 && text.size() < 10'000; ++i) {
    text += ProgramReads();
    queue_->Feed();
  }
  EXPECT_EQ(text, std::string(5000, 'a') + std::string(5000, 'b'));
  EXPECT_FALSE(queue_->blocked());
}

TEST_F(StdinQueueTest, TheWindowIsTheBound) {
  ASSERT_TRUE(Take(wire::kStdinWindowBytes));
  const auto beyond = Take(1);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().errnum, EPROTO);
}

TEST_F(StdinQueueTest, CreditIsWhatTheProgramTookAndNoMore) {
  ASSERT_TRUE(Take(wire::kStdinWindowBytes));
  EXPECT_EQ(queue_->TakeCredit(), 0u) << "a page is not worth a message";
  size_t read = 0;
  size_t granted = 0;
  while (read < wire::kStdinWindowBytes) {
    read += ProgramReads().size();
    queue_->Feed();
    granted += queue_->TakeCredit();
    EXPECT_LE(granted, read + 4096);
  }
  EXPECT_EQ(granted, wire::kStdinWindowBytes);
  EXPECT_TRUE(Take(wire::kStdinWindowBytes)) << "what was granted may be sent";
}

TEST_F(StdinQueueTest, EndComesBehindTheQueue) {
  ASSERT_TRUE(Take(5000));
  ASSERT_TRUE(queue_->TakeEnd());
  EXPECT_FALSE(queue_->finished());
  EXPECT_EQ(ProgramReads().size(), 4096u);
  queue_->Feed();
  EXPECT_TRUE(queue_->finished());
  EXPECT_THAT(Take(1).error().detail, HasSubstr("behind its end"));
  EXPECT_FALSE(queue_->TakeEnd());
}

TEST_F(StdinQueueTest, AProgramThatClosedItsStdinIsToldOnce) {
  program_.Reset();
  ASSERT_TRUE(Take(10));
  EXPECT_TRUE(queue_->finished());
  EXPECT_TRUE(queue_->TakeClosedByProgram());
  EXPECT_FALSE(queue_->TakeClosedByProgram());
  EXPECT_TRUE(Take(10)) << "what was on its way is dropped";
  EXPECT_EQ(queue_->TakeCredit(), 0u);
}

TEST_F(StdinQueueTest, ASessionWithoutStdinTakesNone) {
  StdinQueue none(-1, false, pool_);
  EXPECT_TRUE(none.finished());
  EXPECT_FALSE(none.Take(std::as_bytes(std::span("x", 1))));
}

}  // namespace
}  // namespace berth::agent
