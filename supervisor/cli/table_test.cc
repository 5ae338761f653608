// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/table.h"

#include <gtest/gtest.h>

namespace berth::cli {
namespace {

TEST(Table, ColumnsAreAsWideAsTheirContents) {
  Table table({"NAME", "WHY"});
  table.Add({"a", "short"});
  table.Add({"longer-name", ""});
  EXPECT_EQ(table.Render(0),
            "NAME         WHY\n"
            "a            short\n"
            "longer-name\n");
}

TEST(Table, TheLastColumnIsCutToTheTerminal) {
  Table table({"N", "WHY"});
  table.Add({"a", "0123456789abcdef"});
  EXPECT_EQ(table.Render(13), "N  WHY\na  012345678…\n");
  EXPECT_EQ(table.Render(80), "N  WHY\na  0123456789abcdef\n");
}

TEST(Table, CountsCharactersAndNotBytes) {
  Table table({"N", "W"});
  table.Add({"äöü", "x"});
  EXPECT_EQ(table.Render(0), "N    W\näöü  x\n");
}

TEST(OneLine, LeavesNothingThatDrivesATerminal) {
  EXPECT_EQ(OneLine("a\nb\x1b[2Jc\x7f"), "a b?[2Jc?");
  EXPECT_EQ(OneLine("a\xc2\x9b"
                    "2Jb"),
            "a?2Jb")
      << "C1: CSI in one character";
}

TEST(Ago, RoundsToOneUnit) {
  constexpr int64_t kSecond = 1'000'000'000;
  EXPECT_EQ(Ago(0, 5 * kSecond), "5 s");
  EXPECT_EQ(Ago(0, 600 * kSecond), "10 min");
  EXPECT_EQ(Ago(0, 7200 * kSecond), "2 h");
  EXPECT_EQ(Ago(0, 86'400LL * 3 * kSecond), "3 d");
  EXPECT_EQ(Ago(10 * kSecond, 5 * kSecond), "0 s") << "a clock that was set back";
}

}  // namespace
}  // namespace berth::cli
