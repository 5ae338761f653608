// SPDX-License-Identifier: Apache-2.0
#include "agent/http_reply.h"

#include <gtest/gtest.h>

#include "protocol/wire/limits.h"

namespace berth::agent {
namespace {

TEST(HttpReplyTest, IsReadInPiecesOfAnySize) {
  const std::string text = "HTTP/1.1 503 Sorry\r\nContent-Length: 4\r\nX: y\r\n\r\nbusy";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    HttpReply reply;
    for (size_t at = 0; at < text.size(); at += piece) {
      ASSERT_TRUE(reply.Take(text.substr(at, piece)));
    }
    EXPECT_TRUE(reply.done());
    EXPECT_EQ(reply.status(), 503);
    EXPECT_EQ(reply.body(), "busy");
  }
}

TEST(HttpReplyTest, ABodyEndsWithTheConnectionWhereItsLengthIsNotSaid) {
  HttpReply reply;
  ASSERT_TRUE(reply.Take("HTTP/1.0 200 OK\r\n\r\nall is "));
  EXPECT_TRUE(reply.has_head());
  ASSERT_TRUE(reply.Take("well"));
  EXPECT_FALSE(reply.done());
  ASSERT_TRUE(reply.TakeEnd());
  EXPECT_EQ(reply.body(), "all is well");
}

TEST(HttpReplyTest, ChunksArePutTogether) {
  HttpReply reply;
  ASSERT_TRUE(
      reply.Take("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "3\r\nall\r\n4\r\n is \r\n4\r\nwell\r\n0\r\n\r\n"));
  EXPECT_TRUE(reply.done());
  EXPECT_EQ(reply.body(), "all is well");
}

TEST(HttpReplyTest, WhatIsNoHttpOrEndsTooSoonIsAnError) {
  HttpReply garbage;
  const auto taken = garbage.Take("SSH-2.0-OpenSSH_9.2\r\n");
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().errnum, EPROTO);
  HttpReply silent;
  EXPECT_FALSE(silent.TakeEnd());
  HttpReply cut;
  ASSERT_TRUE(cut.Take("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"));
  EXPECT_FALSE(cut.TakeEnd());
}

TEST(HttpReplyTest, MoreThanTheBoundIsRefused) {
  HttpReply claims;
  const auto claimed = claims.Take("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
  ASSERT_FALSE(claimed);
  EXPECT_EQ(claimed.error().errnum, EMSGSIZE);
  HttpReply endless;
  ASSERT_TRUE(endless.Take("HTTP/1.1 200 OK\r\n\r\n"));
  Result<> last;
  for (size_t sent = 0; last && sent <= wire::kMaxHttpReplyBytes; sent += 4096) {
    last = endless.Take(std::string(4096, 'x'));
  }
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().errnum, EMSGSIZE);
  HttpReply head;
  Result<> grown = head.Take("HTTP/1.1 200 OK\r\n");
  for (size_t sent = 0; grown && sent <= wire::kMaxHttpReplyBytes; sent += 1024) {
    grown = head.Take("X: " + std::string(1019, 'x') + "\r\n");
  }
  ASSERT_FALSE(grown);
  EXPECT_EQ(grown.error().errnum, EMSGSIZE);
}

}  // namespace
}  // namespace berth::agent
