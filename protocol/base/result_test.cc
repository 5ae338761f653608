// SPDX-License-Identifier: Apache-2.0
#include "protocol/base/result.h"

#include <gtest/gtest.h>

namespace berth {
namespace {

TEST(Error, MessageNamesStepErrnoDetailAndHint) {
  const Error error{"connect", ECONNREFUSED, "/run/berth/berthd.sock", "is berthd running?"};
  EXPECT_EQ(
      error.Message(),
      "connect: ECONNREFUSED (Connection refused): /run/berth/berthd.sock; is berthd running?");
}

TEST(Error, MessageLeavesOutWhatIsAbsent) {
  EXPECT_EQ((Error{"parse", 0, "line 3", {}}).Message(), "parse: line 3");
}

TEST(ErrnoName, KnowsEveryNumberOfThisKernelAndIsHonestAboutOthers) {
  EXPECT_EQ(ErrnoName(EHWPOISON), "EHWPOISON");
  EXPECT_EQ(ErrnoName(ENOENT), "ENOENT");
  EXPECT_EQ(ErrnoName(4711), "errno 4711");
  EXPECT_EQ(ErrnoSymbol(4711), nullptr);
}

Result<int> Half(int n) {
  if (n % 2 != 0) return Fail("halve", EDOM, std::to_string(n));
  return n / 2;
}

Result<int> Quarter(int n) {
  BERTH_ASSIGN(const int half, Half(n));
  BERTH_TRY(Half(half));
  return half / 2;
}

TEST(Result, TryAndAssignPassTheFirstErrorOn) {
  EXPECT_EQ(Quarter(8).value(), 2);
  EXPECT_EQ(Quarter(7).error().detail, "7");
  EXPECT_EQ(Quarter(6).error().detail, "3");
}

}  // namespace
}  // namespace berth
