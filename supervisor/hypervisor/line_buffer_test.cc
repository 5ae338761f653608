// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/line_buffer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace berth {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> Lines(LineBuffer& buffer, std::string_view bytes) {
  buffer.Append(bytes);
  std::vector<std::string> lines;
  while (const auto line = buffer.Next()) lines.push_back(*line);
  return lines;
}

TEST(LineBuffer, PutsPiecesTogether) {
  LineBuffer buffer(10);
  EXPECT_THAT(Lines(buffer, "ab"), IsEmpty());
  EXPECT_THAT(Lines(buffer, "c\nde\r\n\nf"), ElementsAre("abc", "de", ""));
  EXPECT_THAT(Lines(buffer, "\n"), ElementsAre("f"));
}

TEST(LineBuffer, DropsALongLineWholeAndGoesOnBehindIt) {
  LineBuffer buffer(4);
  EXPECT_THAT(Lines(buffer, "12345"), IsEmpty());
  EXPECT_THAT(Lines(buffer, "67890"), IsEmpty());
  EXPECT_THAT(Lines(buffer, "1\nok\n"), ElementsAre("ok"));
  EXPECT_EQ(buffer.dropped_lines(), 1U);
  EXPECT_THAT(Lines(buffer, "12345\n1234\n"), ElementsAre("1234"));
  EXPECT_EQ(buffer.dropped_lines(), 2U);
}

TEST(LineBuffer, DoesNotGrowWithALineThatNeverEnds) {
  LineBuffer buffer(1024);
  const std::string chunk(4096, 'x');
  for (int i = 0; i < 100'000; ++i) ASSERT_THAT(Lines(buffer, chunk), IsEmpty());
  EXPECT_EQ(buffer.dropped_lines(), 1U);
  EXPECT_THAT(Lines(buffer, "\nend\n"), ElementsAre("end"));
}

}  // namespace
}  // namespace berth
