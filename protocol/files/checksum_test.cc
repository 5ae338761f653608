// SPDX-License-Identifier: Apache-2.0
#include "protocol/files/checksum.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace berth::files {
namespace {

uint64_t Of(std::string_view text) {
  Checksum sum;
  sum.Add(std::as_bytes(std::span(text)));
  return sum.Value();
}

TEST(ChecksumTest, IsXxh64) {
  EXPECT_EQ(Of(""), 0xEF46DB3751D8E999U);
  EXPECT_EQ(Of("a"), 0xD24EC4F1A98C6E5BU);
  EXPECT_EQ(Of("abc"), 0x44BC2CF5AD770999U);
  EXPECT_EQ(Of("Nobody inspects the spammish repetition"), 0xFBCEA83C8A378BF1U);
}

TEST(ChecksumTest, DoesNotDependOnHowTheBytesCame) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 7);
  for (const size_t piece : {1U, 7U, 31U, 32U, 33U, 64U, 299U}) {
    Checksum sum;
    for (size_t at = 0; at < text.size(); at += piece) {
      sum.Add(std::as_bytes(std::span(text).subspan(at, std::min(piece, text.size() - at))));
    }
    EXPECT_EQ(sum.Value(), Of(text)) << piece;
  }
}

TEST(ChecksumTest, TellsOneBit) {
  std::string text(100, 'x');
  const uint64_t whole = Of(text);
  for (size_t i = 0; i < text.size(); ++i) {
    text[i] ^= 1;
    EXPECT_NE(Of(text), whole) << i;
    text[i] ^= 1;
  }
}

}  // namespace
}  // namespace berth::files
