// SPDX-License-Identifier: Apache-2.0
#include "protocol/base/text.h"

#include <gtest/gtest.h>

namespace berth {
namespace {

TEST(Utf8, KeepsWhatIsUtf8AndNothingElse) {
  for (const char* const text : {"", "plain", "\n\t\x1b", "größe", "日本", "\xf0\x9f\x9a\xa2"}) {
    EXPECT_EQ(Utf8(text), text);
  }
  EXPECT_EQ(Utf8("caf\xe9"), "caf?");
  EXPECT_EQ(Utf8("\xc0\xaf"), "??");            // "/", too long
  EXPECT_EQ(Utf8("\xed\xa0\x80"), "???");       // a surrogate
  EXPECT_EQ(Utf8("\xf4\x90\x80\x80"), "????");  // beyond Unicode
  EXPECT_EQ(Utf8("\xe6\x97"), "??");            // the end is missing
}

TEST(Utf8, IsCutBetweenCharacters) {
  EXPECT_EQ(Utf8("aö", 3), "aö");
  EXPECT_EQ(Utf8("aö", 2), "a");
  EXPECT_EQ(Utf8("\xf0\x9f\x9a\xa2", 3), "");
  EXPECT_EQ(Utf8("abc", 0), "");
}

TEST(Printable, HasNothingThatDrivesATerminal) {
  EXPECT_EQ(Printable("a\x1b[2Jb\r\n\x7f"), "a?[2Jb???");
  EXPECT_EQ(Printable("a\xc2\x9b"
                      "2Jb\xc2\x9d"),
            "a?2Jb?");  // C1: CSI and OSC in one character
  EXPECT_EQ(Printable("\xe2\x80\xae"
                      "txt.exe\xe2\x81\xa6\xe2\x80\xa8"),
            "?txt.exe??");
  EXPECT_EQ(Printable("\x9b"
                      "2J"),
            "?2J");
  EXPECT_EQ(Printable("größe \xc2\xa0"), "größe \xc2\xa0");
  EXPECT_EQ(Printable("two\n\tlines\r", std::string_view::npos, "\n\t"), "two\n\tlines?");
}

}  // namespace
}  // namespace berth
