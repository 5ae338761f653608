// SPDX-License-Identifier: Apache-2.0
//
// Credit arithmetic, above all where its counters wrap and where a peer lies.
#include "supervisor/vsock/credit.h"

#include <gtest/gtest.h>

namespace berth::vsock {
namespace {

TEST(SendCreditTest, RoomIsWhatTheGuestHasNotYetForwarded) {
  SendCredit credit;
  EXPECT_EQ(credit.Room(), 0U) << "before the guest has said anything";
  credit.Update(1000, 0);
  EXPECT_EQ(credit.Room(), 1000U);
  credit.Spend(600);
  EXPECT_EQ(credit.Room(), 400U);
  credit.Spend(400);
  EXPECT_EQ(credit.Room(), 0U);
  credit.Update(1000, 700);
  EXPECT_EQ(credit.Room(), 700U);
}

TEST(SendCreditTest, RoomSurvivesTheWrapOfBothCounters) {
  SendCredit credit;
  credit.Update(0x8000, 0);
  uint32_t forwarded = 0;
  // Past 2^32 bytes in steps that never meet it exactly.
  for (int i = 0; i < 150'000; ++i) {
    ASSERT_EQ(credit.Room(), 0x8000U) << "step " << i;
    credit.Spend(0x7fff);
    ASSERT_EQ(credit.Room(), 1U);
    forwarded += 0x7fff;
    credit.Update(0x8000, forwarded);
  }
}

TEST(SendCreditTest, AGuestThatShrinksItsBufferBelowWhatIsInFlightHasNoRoom) {
  SendCredit credit;
  credit.Update(1000, 0);
  credit.Spend(900);
  credit.Update(500, 0);
  EXPECT_EQ(credit.Room(), 0U);
  credit.Update(500, 600);
  EXPECT_EQ(credit.Room(), 200U);
}

TEST(SendCreditTest, AGuestThatForwardedMoreThanWasSentHasNoRoom) {
  SendCredit credit;
  credit.Update(0xffff, 100);
  EXPECT_EQ(credit.Room(), 0U);
}

TEST(ReceiveCreditTest, TakesAWindowAndNotAByteMore) {
  ReceiveCredit credit(1000);
  EXPECT_TRUE(credit.Take(1000));
  EXPECT_FALSE(credit.Take(1));
  EXPECT_TRUE(credit.Take(0));
  credit.Forward(10);
  EXPECT_FALSE(credit.Take(11));
  EXPECT_TRUE(credit.Take(10));
  EXPECT_FALSE(credit.Take(0xffffffff));
}

TEST(ReceiveCreditTest, UpdateIsDueAtHalfOfTheWindow) {
  ReceiveCredit credit(1000);
  ASSERT_TRUE(credit.Take(1000));
  credit.Forward(499);
  EXPECT_FALSE(credit.UpdateDue());
  credit.Forward(1);
  EXPECT_TRUE(credit.UpdateDue());
  EXPECT_EQ(credit.Announce(), 500U);
  EXPECT_FALSE(credit.UpdateDue());
}

TEST(ReceiveCreditTest, TheWindowSurvivesTheWrap) {
  ReceiveCredit credit(0x10000);
  for (int i = 0; i < 70'000; ++i) {
    ASSERT_TRUE(credit.Take(0xffff)) << "step " << i;
    ASSERT_FALSE(credit.Take(2));
    credit.Forward(0xffff);
    ASSERT_TRUE(credit.UpdateDue());
    credit.Announce();
  }
}

}  // namespace
}  // namespace berth::vsock
