// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/byte_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace berth::vsock {
namespace {

iovec Part(std::string_view text) { return {const_cast<char*>(text.data()), text.size()}; }

std::string Content(const ByteQueue& queue) {
  std::string content;
  for (const iovec& part : queue.Front()) {
    content.append(static_cast<const char*>(part.iov_base), part.iov_len);
  }
  return content;
}

TEST(ByteQueueTest, KeepsOrderAcrossItsWrap) {
  ByteQueue queue(8);
  const iovec first[] = {Part("abc"), Part("def")};
  ASSERT_TRUE(queue.Append(first, 0));
  queue.Consume(5);
  const iovec second[] = {Part("ghijkl")};
  ASSERT_TRUE(queue.Append(second, 0));
  EXPECT_EQ(Content(queue), "fghijkl");
  EXPECT_GT(queue.Front()[1].iov_len, 0U) << "the test must wrap";
  queue.Consume(7);
  EXPECT_TRUE(queue.empty());
}

TEST(ByteQueueTest, SkipsWhatWasAlreadySent) {
  ByteQueue queue(8);
  const iovec parts[] = {Part("abc"), Part("def")};
  ASSERT_TRUE(queue.Append(parts, 4));
  EXPECT_EQ(Content(queue), "ef");
  ASSERT_TRUE(queue.Append(parts, 6));
  EXPECT_EQ(Content(queue), "ef");
}

TEST(ByteQueueTest, RefusesWhatDoesNotFitAndStaysAsItWas) {
  ByteQueue queue(4);
  const iovec parts[] = {Part("abc")};
  ASSERT_TRUE(queue.Append(parts, 0));
  EXPECT_FALSE(queue.Append(parts, 1));
  EXPECT_EQ(Content(queue), "abc");
  EXPECT_TRUE(queue.Append(parts, 2));
  EXPECT_EQ(Content(queue), "abcc");
}

TEST(ByteQueueTest, CanBeUsedAgainAfterClear) {
  ByteQueue queue(4);
  const iovec parts[] = {Part("abc")};
  ASSERT_TRUE(queue.Append(parts, 0));
  queue.Clear();
  EXPECT_TRUE(queue.empty());
  ASSERT_TRUE(queue.Append(parts, 0));
  EXPECT_EQ(Content(queue), "abc");
}

}  // namespace
}  // namespace berth::vsock
