// SPDX-License-Identifier: Apache-2.0
#include "init/shutdown.h"

#include <gtest/gtest.h>

namespace berth::init {
namespace {

using std::chrono_literals::operator""h;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using Action = Shutdown::Action;
using Stage = Shutdown::Stage;

constexpr Shutdown::Time kStart{};  // any

TEST(Shutdown, EndsAsSoonAsNoProcessIsLeft) {
  Shutdown shutdown;
  EXPECT_EQ(shutdown.Request(ShutdownMode::kReboot, 5s, kStart), Action::kTerminateAll);
  EXPECT_EQ(shutdown.deadline(), kStart + 5s);
  EXPECT_EQ(shutdown.NoProcessLeft(), Action::kFinish);
  EXPECT_EQ(shutdown.stage(), Stage::kFinishing);
  EXPECT_EQ(shutdown.mode(), ShutdownMode::kReboot);
}

TEST(Shutdown, KillsAfterTheGraceAndFinishesEvenWhereKillingDoesNotHelp) {
  Shutdown shutdown;
  shutdown.Request(ShutdownMode::kPowerOff, 5s, kStart);
  EXPECT_EQ(shutdown.TimePassed(kStart + 4999ms), Action::kNothing);
  EXPECT_EQ(shutdown.TimePassed(kStart + 5s), Action::kKillAll);
  EXPECT_EQ(shutdown.TimePassed(kStart + 5s), Action::kNothing);
  EXPECT_EQ(shutdown.deadline(), kStart + 5s + kKillWait);
  EXPECT_EQ(shutdown.TimePassed(kStart + 5s + kKillWait), Action::kFinish);
  EXPECT_FALSE(shutdown.deadline());
}

TEST(Shutdown, FinishesOnceKilledProcessesAreGone) {
  Shutdown shutdown;
  shutdown.Request(ShutdownMode::kPowerOff, 1s, kStart);
  shutdown.TimePassed(kStart + 1s);
  EXPECT_EQ(shutdown.NoProcessLeft(), Action::kFinish);
}

TEST(Shutdown, EndsTheAgentOnceItIsAloneAndKillsItWhereItStays) {
  Shutdown shutdown;
  shutdown.Request(ShutdownMode::kPowerOff, 60s, kStart);
  EXPECT_EQ(shutdown.OnlyAgentLeft(kStart + 1s), Action::kEndAgent);
  EXPECT_EQ(shutdown.OnlyAgentLeft(kStart + 1s), Action::kNothing);
  EXPECT_EQ(shutdown.deadline(), kStart + 1s + kAgentWait);
  EXPECT_EQ(shutdown.TimePassed(kStart + 1s + kAgentWait), Action::kKillAll);
  EXPECT_EQ(shutdown.NoProcessLeft(), Action::kFinish);

  Shutdown obeyed;
  obeyed.Request(ShutdownMode::kPowerOff, 60s, kStart);
  obeyed.OnlyAgentLeft(kStart);
  EXPECT_EQ(obeyed.NoProcessLeft(), Action::kFinish);
}

TEST(Shutdown, ASecondRequestShortensTheGraceAndChangesNothingElse) {
  Shutdown shutdown;
  shutdown.Request(ShutdownMode::kPowerOff, 60s, kStart);
  EXPECT_EQ(shutdown.Request(ShutdownMode::kReboot, 2s, kStart + 1s), Action::kNothing);
  EXPECT_EQ(shutdown.deadline(), kStart + 3s);
  EXPECT_EQ(shutdown.mode(), ShutdownMode::kPowerOff);
  shutdown.Request(ShutdownMode::kPowerOff, 60s, kStart + 2s);
  EXPECT_EQ(shutdown.deadline(), kStart + 3s);
}

TEST(Shutdown, GraceHasADefaultAndABound) {
  Shutdown none;
  none.Request(ShutdownMode::kPowerOff, 0ms, kStart);
  EXPECT_EQ(none.deadline(), kStart + kDefaultGrace);
  Shutdown negative;
  negative.Request(ShutdownMode::kPowerOff, -5s, kStart);
  EXPECT_EQ(negative.deadline(), kStart + kDefaultGrace);
  Shutdown huge;
  huge.Request(ShutdownMode::kPowerOff, std::chrono::milliseconds::max(), kStart);
  EXPECT_EQ(huge.deadline(), kStart + kMaxGrace);
}

TEST(Shutdown, NoEventDoesAnythingInAStageThatDoesNotExpectIt) {
  Shutdown running;
  EXPECT_EQ(running.NoProcessLeft(), Action::kNothing);
  EXPECT_EQ(running.OnlyAgentLeft(kStart), Action::kNothing);
  EXPECT_EQ(running.TimePassed(kStart + 1h), Action::kNothing);
  EXPECT_FALSE(running.deadline());
  Shutdown finishing;
  finishing.Request(ShutdownMode::kPowerOff, 1s, kStart);
  finishing.NoProcessLeft();
  EXPECT_EQ(finishing.NoProcessLeft(), Action::kNothing);
  EXPECT_EQ(finishing.OnlyAgentLeft(kStart), Action::kNothing);
  EXPECT_EQ(finishing.TimePassed(kStart + 1h), Action::kNothing);
  EXPECT_EQ(finishing.Request(ShutdownMode::kHalt, 1s, kStart), Action::kNothing);
}

}  // namespace
}  // namespace berth::init
