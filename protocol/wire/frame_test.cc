// SPDX-License-Identifier: Apache-2.0
#include "protocol/wire/frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace berth::wire {
namespace {

using ::testing::HasSubstr;

std::string Header(uint32_t length, int kind, int stream, int reserved = 0) {
  std::string bytes;
  for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(length >> shift & 0xff);
  bytes += static_cast<char>(kind);
  bytes += static_cast<char>(stream);
  bytes += static_cast<char>(reserved);
  bytes += '\0';
  return bytes;
}

Result<FrameHeader> Decode(const std::string& bytes) {
  return DecodeHeader(std::as_bytes(std::span(bytes)).first<kFrameHeaderBytes>());
}

// Puts in as many bytes as there is room for; returns how many.
size_t Feed(FrameBuffer& buffer, std::string_view bytes) {
  const auto room = buffer.Prepare();
  EXPECT_FALSE(room.empty());
  const size_t n = std::min(room.size(), bytes.size());
  std::ranges::copy(std::as_bytes(std::span(bytes)).first(n), room.begin());
  buffer.Commit(n);
  return n;
}

// What comes out when `bytes` arrive `step` at a time: messages whole, data joined per stream.
struct Received {
  std::vector<std::string> messages;
  std::string data[3];
  std::vector<Stream> ends;
  size_t largest_piece = 0;
};
Received FeedAll(std::string_view bytes, size_t step) {
  FrameBuffer buffer;
  Received received;
  while (true) {
    const auto frame = buffer.Next();
    EXPECT_TRUE(frame) << frame.error().Message();
    if (!frame) break;
    if (!*frame) {
      if (bytes.empty()) break;
      bytes.remove_prefix(Feed(buffer, bytes.substr(0, step)));
      continue;
    }
    const std::string payload(reinterpret_cast<const char*>((*frame)->payload.data()),
                              (*frame)->payload.size());
    if ((*frame)->kind == FrameKind::kMessage) {
      received.messages.push_back(payload);
    } else if ((*frame)->kind == FrameKind::kData) {
      received.data[static_cast<size_t>((*frame)->stream)] += payload;
      received.largest_piece = std::max(received.largest_piece, payload.size());
    } else {
      received.ends.push_back((*frame)->stream);
    }
  }
  EXPECT_FALSE(buffer.InsideFrame());
  return received;
}

TEST(FrameHeaderTest, EncodesAndDecodesEveryKind) {
  for (const auto& [kind, stream, length] :
       {std::tuple{FrameKind::kMessage, Stream::kStdin, uint32_t{kMaxMessageBytes}},
        std::tuple{FrameKind::kMessage, Stream::kStdin, uint32_t{0}},
        std::tuple{FrameKind::kData, Stream::kStderr, uint32_t{kMaxDataBytes}},
        std::tuple{FrameKind::kEnd, Stream::kStdout, uint32_t{0}}}) {
    const HeaderBytes bytes = EncodeHeader({kind, stream, length});
    const auto header = DecodeHeader(bytes);
    ASSERT_TRUE(header) << header.error().Message();
    EXPECT_EQ(header->kind, kind);
    EXPECT_EQ(header->stream, stream);
    EXPECT_EQ(header->length, length);
  }
}

TEST(FrameHeaderTest, IsLittleEndian) {
  const HeaderBytes bytes = EncodeHeader({FrameKind::kData, Stream::kStdout, 0x00012345});
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  EXPECT_EQ(text, std::string("\x45\x23\x01\x00\x02\x01\x00\x00", 8));
}

TEST(FrameHeaderTest, RefusesWhatTheTableDoesNotSay) {
  const struct {
    const char* what;
    std::string bytes;
    int errnum;
  } rows[] = {
      {"kind zero", Header(1, 0, 0), EPROTO},
      {"kind four", Header(1, 4, 0), EPROTO},
      {"message on a stream", Header(1, 1, 1), EPROTO},
      {"stream three", Header(1, 2, 3), EPROTO},
      {"stream three, end", Header(0, 3, 3), EPROTO},
      {"empty data", Header(0, 2, 1), EPROTO},
      {"reserved byte", Header(1, 1, 0, 1), EPROTO},
      {"end with payload", Header(1, 3, 0), EMSGSIZE},
      {"message too long", Header(kMaxMessageBytes + 1, 1, 0), EMSGSIZE},
      {"data too long", Header(kMaxDataBytes + 1, 2, 0), EMSGSIZE},
      {"all ones", Header(0xffffffff, 1, 0), EMSGSIZE},
  };
  for (const auto& row : rows) {
    const auto header = Decode(row.bytes);
    ASSERT_FALSE(header) << row.what;
    EXPECT_EQ(header.error().errnum, row.errnum) << row.what;
  }
}

TEST(FrameBufferTest, CutsTheSameFramesHoweverTheBytesArrive) {
  const std::string large(200'000, 'l');
  const std::string message(100'000, 'm');
  const std::string bytes = Header(3, 1, 0) + "one" + Header(0, 1, 0) + Header(5, 2, 1) + "hello" +
                            Header(200'000, 2, 2) + large + Header(100'000, 1, 0) + message +
                            Header(1, 2, 1) + "!" + Header(0, 3, 1) + Header(0, 3, 2);
  for (const size_t step : {1ul, 3ul, 7ul, 8ul, 9ul, 4096ul, 65536ul, bytes.size()}) {
    const Received received = FeedAll(bytes, step);
    EXPECT_EQ(received.messages, (std::vector<std::string>{"one", "", message})) << step;
    EXPECT_EQ(received.data[1], "hello!") << step;
    EXPECT_EQ(received.data[2], large) << step;
    EXPECT_EQ(received.ends, (std::vector<Stream>{Stream::kStdout, Stream::kStderr})) << step;
    EXPECT_LE(received.largest_piece, FrameBuffer::kPieceBytes) << step;
  }
}

TEST(FrameBufferTest, HoldsNoMoreThanAPieceOfALargeDataFrame) {
  FrameBuffer buffer;
  Feed(buffer, Header(kMaxDataBytes, 2, 0));
  ASSERT_TRUE(buffer.Next());
  EXPECT_LE(buffer.Prepare().size(), FrameBuffer::kPieceBytes);
}

TEST(FrameBufferTest, GrowsForAMessageAndShrinksBehindIt) {
  FrameBuffer buffer;
  EXPECT_LT(buffer.Prepare().size(), 8192u) << "nothing is known yet";
  const std::string message = Header(kMaxMessageBytes, 1, 0) + std::string(kMaxMessageBytes, 'm');
  for (std::string_view rest = message; !rest.empty();) {
    const auto frame = buffer.Next();
    ASSERT_TRUE(frame && !*frame);
    rest.remove_prefix(Feed(buffer, rest));
  }
  const auto frame = buffer.Next();
  ASSERT_TRUE(frame && *frame);
  EXPECT_EQ((*frame)->payload.size(), kMaxMessageBytes);
  ASSERT_FALSE(*buffer.Next());
  EXPECT_LE(buffer.Prepare().size(), FrameBuffer::kPieceBytes);
}

TEST(FrameBufferTest, AnErrorStays) {
  FrameBuffer buffer;
  Feed(buffer, Header(1, 9, 0) + Header(0, 1, 0));
  for (int i = 0; i < 2; ++i) {
    const auto frame = buffer.Next();
    ASSERT_FALSE(frame);
    EXPECT_THAT(frame.error().detail, HasSubstr("unknown frame kind 9"));
  }
}

TEST(FrameBufferTest, KnowsWhetherItIsInsideAFrame) {
  FrameBuffer buffer;
  EXPECT_FALSE(buffer.InsideFrame());
  Feed(buffer, Header(4, 2, 1).substr(0, 3));
  EXPECT_TRUE(buffer.InsideFrame());
  Feed(buffer, Header(4, 2, 1).substr(3) + "ab");
  ASSERT_TRUE(*buffer.Next());
  EXPECT_TRUE(buffer.InsideFrame()) << "two bytes of the data frame are missing";
  Feed(buffer, "cd");
  ASSERT_TRUE(*buffer.Next());
  EXPECT_FALSE(buffer.InsideFrame());
}

TEST(FrameBufferTest, MayHaveASmallerBoundForMessages) {
  FrameBuffer buffer(100);
  Feed(buffer, Header(100, 1, 0) + std::string(100, 'm'));
  const auto whole = buffer.Next();
  ASSERT_TRUE(whole && *whole);
  EXPECT_EQ((*whole)->payload.size(), 100u);
  Feed(buffer, Header(101, 1, 0));
  const auto larger = buffer.Next();
  ASSERT_FALSE(larger);
  EXPECT_EQ(larger.error().errnum, EMSGSIZE);
}

}  // namespace
}  // namespace berth::wire
