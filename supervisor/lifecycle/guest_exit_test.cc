// SPDX-License-Identifier: Apache-2.0
#include "supervisor/lifecycle/guest_exit.h"

#include <gtest/gtest.h>

#include "protocol/wire/limits.h"

namespace berth::lifecycle {
namespace {

using GoingDown = v1::GuestEvent::GoingDown;

GoingDown Down(GoingDown::Cause cause, const std::string& name) {
  GoingDown down;
  down.set_cause(cause);
  down.set_name(name);
  return down;
}

TEST(GuestExit, OfAMainServiceKeepsCodeAndSignalApart) {
  GoingDown down = Down(GoingDown::MAIN, "web");
  down.set_code(3);
  const auto ended = FromClaim(down);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->code, 3u);
  EXPECT_EQ(ended->signal, std::nullopt);
  EXPECT_EQ(Explain(*ended), "its main service web ended with exit code 3");
  down.set_signal(9);
  EXPECT_EQ(Explain(*FromClaim(down)), "its main service web was ended by SIGKILL");
  EXPECT_EQ(FromClaim(down)->code, std::nullopt);
}

TEST(GuestExit, NamesTheOtherCauses) {
  EXPECT_EQ(Explain(*FromClaim(Down(GoingDown::HOST, ""))), "it was asked to by the host");
  EXPECT_EQ(Explain(*FromClaim(Down(GoingDown::SIGNAL, "SIGTERM"))),
            "it was asked to by SIGTERM inside");
  EXPECT_EQ(Explain(*FromClaim(Down(GoingDown::CRASH_LOOP, "db"))),
            "its service db crashed again and again");
}

TEST(GuestExit, AClaimThatMakesNoSenseIsNone) {
  EXPECT_FALSE(FromClaim(Down(GoingDown::CAUSE_NONE, "")));
  EXPECT_FALSE(FromClaim(Down(static_cast<GoingDown::Cause>(9), "")));
  EXPECT_FALSE(FromClaim(Down(GoingDown::MAIN, std::string(64, 'x'))));
  GoingDown down = Down(GoingDown::MAIN, "web");
  down.set_code(256);
  EXPECT_FALSE(FromClaim(down));
  for (const uint32_t signal : {0u, 65u, ~0u}) {
    down.set_signal(signal);
    EXPECT_FALSE(FromClaim(down)) << signal;
  }
  down = Down(GoingDown::MAIN, "web");
  down.set_mode(static_cast<v1::Shutdown::Mode>(3));
  EXPECT_FALSE(FromClaim(down));
}

TEST(GuestExit, CarriesNoControlCharactersToATerminal) {
  EXPECT_EQ(FromClaim(Down(GoingDown::CRASH_LOOP, "a\x1b[2J"))->name, "a?[2J");
}

}  // namespace
}  // namespace berth::lifecycle
