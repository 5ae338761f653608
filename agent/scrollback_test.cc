// SPDX-License-Identifier: Apache-2.0
#include "agent/scrollback.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace berth::agent {
namespace {

void Append(Scrollback& kept, wire::Stream stream, std::string_view text) {
  kept.Append(stream, std::as_bytes(std::span(text)));
}

// All that is unsent, with a letter in front of each piece: o or e.
std::string TakeAll(Scrollback& kept, size_t room_bytes = 64 * 1024) {
  std::string text;
  for (;;) {
    std::string room(room_bytes, '\0');
    const auto piece = kept.Take(std::as_writable_bytes(std::span(room)));
    if (piece.bytes == 0) return text;
    text += piece.stream == wire::Stream::kStdout ? 'o' : 'e';
    text += room.substr(0, piece.bytes);
  }
}

TEST(ScrollbackTest, GivesWhatWasPutInOnceAndAgainAfterRewind) {
  Scrollback kept;
  Append(kept, wire::Stream::kStdout, "one ");
  Append(kept, wire::Stream::kStdout, "two");
  Append(kept, wire::Stream::kStderr, "bad");
  Append(kept, wire::Stream::kStdout, "three");
  EXPECT_EQ(kept.unsent(), 15U);
  EXPECT_EQ(TakeAll(kept), "oone twoebadothree");
  EXPECT_EQ(kept.unsent(), 0U);
  Append(kept, wire::Stream::kStdout, "!");
  EXPECT_EQ(TakeAll(kept), "o!");
  kept.Rewind();
  EXPECT_EQ(TakeAll(kept, 4),
            "oone otwoebadothreo"
            "e!");
  EXPECT_EQ(kept.lost(), 0U);
}

TEST(ScrollbackTest, KeepsTheNewestAndCountsWhatIsLost) {
  Scrollback kept;
  const std::string line(1000, 'x');
  constexpr int kLines = 1000;
  for (int i = 0; i < kLines; ++i) Append(kept, wire::Stream::kStdout, line);
  Append(kept, wire::Stream::kStdout, "last");
  const std::string all = TakeAll(kept, 1 << 20);
  EXPECT_TRUE(all.ends_with("xlast"));
  EXPECT_LE(all.size() - 1, wire::kMaxScrollbackBytes);
  EXPECT_GT(all.size(), wire::kMaxScrollbackBytes / 2);
  EXPECT_EQ(kept.lost() + all.size() - 1, kLines * line.size() + 4);
}

// What is sent is dropped first: the cursor stays at the same byte.
TEST(ScrollbackTest, DroppingWhatWasSentLosesNothingOfTheRest) {
  Scrollback kept;
  const std::string block(wire::kMaxScrollbackBytes, 'a');
  Append(kept, wire::Stream::kStdout, block);
  std::string room(block.size() - 10, '\0');
  ASSERT_EQ(kept.Take(std::as_writable_bytes(std::span(room))).bytes, room.size());
  Append(kept, wire::Stream::kStdout, std::string(8000, 'b'));
  EXPECT_EQ(TakeAll(kept, 1 << 20), "o" + std::string(10, 'a') + std::string(8000, 'b'));
}

}  // namespace
}  // namespace berth::agent
