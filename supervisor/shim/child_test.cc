// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shim/child.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "supervisor/hypervisor/temp_dir.h"
#include "supervisor/shim/unix_socket.h"

namespace berth::shim {
namespace {

TEST(Substitute, ReplacesEveryPlaceholderAndNothingElse) {
  const std::pair<std::string_view, std::string> replacements[] = {{"{a}", "{b}"}, {"{b}", "5"}};
  EXPECT_THAT(Substitute({"x={a},y={a}", "{c}", "{b}{b}"}, std::span(replacements).last(1)),
              testing::ElementsAre("x={a},y={a}", "{c}", "55"));
  EXPECT_THAT(Substitute({"{a}{a}"}, std::span(replacements).first(1)),
              testing::ElementsAre("{b}{b}"));
}

TEST(DescribeEnd, NamesCodesAndSignals) {
  EXPECT_EQ(DescribeEnd(3 << 8), "exit code 3");
  EXPECT_EQ(DescribeEnd(SIGSEGV), "SIGSEGV (signal 11)");
}

TEST(ListenUnix, RefusesPathsThatDoNotFitAnAddress) {
  EXPECT_EQ(ListenUnix("/tmp/" + std::string(103, 'x'), 1).error().errnum, ENAMETOOLONG);
}

TEST(ListenUnix, TakesThePlaceOfASocketLeftOverButOfNothingElse) {
  TempDir dir;
  const std::string path = dir.path() + "/s";
  ASSERT_TRUE(ListenUnix(path, 1).has_value());
  ASSERT_TRUE(ListenUnix(path, 1).has_value());
  EXPECT_EQ(std::filesystem::status(path).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_EQ(ListenUnix(dir.Put("file", "x"), 1).error().errnum, EADDRINUSE);
}

}  // namespace
}  // namespace berth::shim
