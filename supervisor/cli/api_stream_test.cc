// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/api_stream.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/base/io.h"

namespace berth::cli {
namespace {

class ApiStreamTest : public testing::Test {
 protected:
  ApiStreamTest() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
    stream_.emplace(UniqueFd(ends[0]));
    berthd_.Reset(ends[1]);
  }
  void Put(std::string_view text) {
    ASSERT_TRUE(WriteFull(berthd_.get(), text, Deadline::In(std::chrono::seconds(10))));
  }
  void PutFd(int fd) {
    ASSERT_TRUE(SendFd(berthd_.get(), fd, Deadline::In(std::chrono::seconds(10))));
  }

  std::optional<ApiStream> stream_;
  UniqueFd berthd_;
};

constexpr const char* kHandover1 = R"({"jsonrpc":"2.0","id":1,"result":{"handover":true}})"
                                   "\n";
constexpr const char* kHandover3 = R"({"jsonrpc":"2.0","id":3,"result":{"handover":true}})"
                                   "\n";
constexpr const char* kError2 =
    R"({"jsonrpc":"2.0","id":2,"error":{"code":-32003,"message":"no","data":{"kind":"wrong-state"}}})"
    "\n";

TEST_F(ApiStreamTest, EachDescriptorComesWithItsOwnAnswer) {
  EXPECT_EQ(stream_->Call("a", {{"name", "vm"}}), 1);
  EXPECT_EQ(stream_->Call("b", {{"name", "vm"}}), 2);
  EXPECT_EQ(stream_->Call("c", {{"name", "vm"}}), 3);
  EXPECT_EQ(stream_->wants(), POLLIN | POLLOUT);
  ASSERT_TRUE(stream_->Move());
  EXPECT_EQ(stream_->wants(), POLLIN);
  int one[2];
  int two[2];
  ASSERT_EQ(pipe2(one, O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(two, O_CLOEXEC), 0);
  const UniqueFd ends[] = {UniqueFd(one[0]), UniqueFd(one[1]), UniqueFd(two[0]), UniqueFd(two[1])};
  // All of it is there before it is looked at.
  Put(kHandover3);
  PutFd(ends[1].get());
  Put(kError2);
  Put(kHandover1);
  PutFd(ends[3].get());
  const auto answers = stream_->Move();
  ASSERT_TRUE(answers) << answers.error().Message();
  ASSERT_EQ(answers->size(), 3U);
  EXPECT_EQ((*answers)[0].id, 3);
  ASSERT_TRUE((*answers)[0].fd);
  EXPECT_EQ((*answers)[1].id, 2);
  ASSERT_FALSE((*answers)[1].result);
  EXPECT_EQ((*answers)[1].result.error().exit_code, 4);
  EXPECT_EQ((*answers)[2].id, 1);
  ASSERT_TRUE((*answers)[2].fd);
  ASSERT_EQ(write((*answers)[0].fd.get(), "3", 1), 1);
  ASSERT_EQ(write((*answers)[2].fd.get(), "1", 1), 1);
  char c = 0;
  EXPECT_EQ(read(ends[0].get(), &c, 1), 1);
  EXPECT_EQ(c, '3');
  EXPECT_EQ(read(ends[2].get(), &c, 1), 1);
  EXPECT_EQ(c, '1');
}

TEST_F(ApiStreamTest, AnAnswerWaitsForItsDescriptor) {
  Put(kHandover1);
  auto answers = stream_->Move();
  ASSERT_TRUE(answers);
  EXPECT_TRUE(answers->empty());
  PutFd(berthd_.get());
  answers = stream_->Move();
  ASSERT_TRUE(answers);
  ASSERT_EQ(answers->size(), 1U);
  EXPECT_TRUE(answers->front().fd);
}

TEST_F(ApiStreamTest, WhatIsNoAnswerIsAnError) {
  Put("[]\n");
  EXPECT_EQ(stream_->Move().error().errnum, EPROTO);
}

TEST_F(ApiStreamTest, ADescriptorThatNobodyAskedForIsAnError) {
  PutFd(berthd_.get());
  EXPECT_EQ(stream_->Move().error().errnum, EPROTO);
}

TEST_F(ApiStreamTest, WhatWasAnsweredBeforeTheEndIsTold) {
  Put(kError2);
  berthd_.Reset();
  const auto answers = stream_->Move();
  ASSERT_TRUE(answers);
  EXPECT_EQ(answers->size(), 1U);
  EXPECT_EQ(stream_->Move().error().errnum, ECONNRESET);
}

}  // namespace
}  // namespace berth::cli
