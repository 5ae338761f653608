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

constexpr ShutdownConfig kConfig{};

TEST(Shutdown, EndsAsSoonAsNoProcessIsLeft) {
  Shutdown shutdown;
  EXPECT_EQ(shutdown.Request(ShutdownMode::kReboot, 5s, kStart), Action::kStopServices);
  EXPECT_EQ(shutdown.deadline(), kStart + 5s);
  EXPECT_EQ(shutdown.NoProcessLeft(), Action::kFinish);
  EXPECT_EQ(shutdown.stage(), Stage::kFinishing);
  EXPECT_EQ(shutdown.mode(), ShutdownMode::kReboot);
}

TEST(Shutdown, ServicesThenAllOthersThenTheAgent) {
  Shutdown shutdown;
  shutdown.Request(ShutdownMode::kPowerOff, 60s, kStart);
  EXPECT_EQ(shutdown.OnlyAgentLeft(kStart), Action::kNothing) << "services come first";
  EXPECT_EQ(shutdown.ServicesDown(), Action::kTerminateAll);
  EXPECT_EQ(shutdown.ServicesDown(), Action::kNothing);
  EXPECT_EQ(shutdown.deadline(), kStart + 60s) << "one grace for both";
  EXPECT_EQ(shutdown.OnlyAgentLeft(kStart + 1s), Action::kEndAgent);
  EXPECT_EQ(shutdown.OnlyAgentLeft(kStart + 1s), Action::kNothing);
  EXPECT_EQ(shutdown.deadline(), kStart + 1s + kConfig.agent_wait);
  EXPECT_EQ(shutdown.NoProcessLeft(), Action::kFinish);
}

TEST(Shutdown, AfterTheGraceAllButTheAgentAreKilledSoThatItCanReport) {
  for (const bool services_down : {false, true}) {
    Shutdown shutdown;
    shutdown.Request(ShutdownMode::kPowerOff, 5s, kStart);
    if (services_down) shutdown.ServicesDown();
    EXPECT_EQ(shutdown.TimePassed(kStart + 4999ms), Action::kNothing);
    EXPECT_EQ(shutdown.TimePassed(kStart + 5s), Action::kKillAllOthers);
    EXPECT_EQ(shutdown.TimePassed(kStart + 5s), Action::kNothing);
    EXPECT_EQ(shutdown.deadline(), kStart + 5s + kConfig.kill_wait);
    EXPECT_EQ(shutdown.OnlyAgentLeft(kStart + 6s), Action::kEndAgent);
  }
}

TEST(Shutdown, FinishesEvenWhereKillingDoesNotHelp) {
  Shutdown shutdown({.grace = 4s, .agent_wait = 300ms, .kill_wait = 100ms, .finish_wait = 1s});
  shutdown.Request(ShutdownMode::kPowerOff, 0s, kStart);
  EXPECT_EQ(shutdown.deadline(), kStart + 4s) << "each deadline is a key";
  EXPECT_EQ(shutdown.TimePassed(kStart + 4s), Action::kKillAllOthers);
  EXPECT_EQ(shutdown.TimePassed(kStart + 4100ms), Action::kEndAgent);
  EXPECT_EQ(shutdown.TimePassed(kStart + 4400ms), Action::kKillAll);
  EXPECT_EQ(shutdown.TimePassed(kStart + 4500ms), Action::kFinish);
  EXPECT_FALSE(shutdown.deadline());
}

TEST(Shutdown, ASecondRequestShortensTheGraceAndChangesNothingElse) {
  Shutdown shutdown;
  shutdown.Request(ShutdownMode::kPowerOff, 60s, kStart);
  EXPECT_EQ(shutdown.Request(ShutdownMode::kReboot, 2s, kStart + 1s), Action::kStopServices)
      << "services are to hear of it";
  EXPECT_EQ(shutdown.deadline(), kStart + 3s);
  EXPECT_EQ(shutdown.mode(), ShutdownMode::kPowerOff);
  EXPECT_EQ(shutdown.Request(ShutdownMode::kPowerOff, 60s, kStart + 2s), Action::kNothing);
  EXPECT_EQ(shutdown.deadline(), kStart + 3s);
  shutdown.ServicesDown();
  EXPECT_EQ(shutdown.Request(ShutdownMode::kPowerOff, 500ms, kStart + 2s), Action::kNothing);
  EXPECT_EQ(shutdown.deadline(), kStart + 2500ms);
}

TEST(Shutdown, GraceHasADefaultAndABound) {
  Shutdown none;
  none.Request(ShutdownMode::kPowerOff, 0ms, kStart);
  EXPECT_EQ(none.deadline(), kStart + kConfig.grace);
  Shutdown negative;
  negative.Request(ShutdownMode::kPowerOff, -5s, kStart);
  EXPECT_EQ(negative.deadline(), kStart + kConfig.grace);
  Shutdown huge;
  huge.Request(ShutdownMode::kPowerOff, std::chrono::milliseconds::max(), kStart);
  EXPECT_EQ(huge.deadline(), kStart + kMaxGrace);
}

TEST(Shutdown, NoEventDoesAnythingInAStageThatDoesNotExpectIt) {
  Shutdown running;
  EXPECT_EQ(running.NoProcessLeft(), Action::kNothing);
  EXPECT_EQ(running.ServicesDown(), Action::kNothing);
  EXPECT_EQ(running.OnlyAgentLeft(kStart), Action::kNothing);
  EXPECT_EQ(running.TimePassed(kStart + 1h), Action::kNothing);
  EXPECT_FALSE(running.deadline());
  Shutdown finishing;
  finishing.Request(ShutdownMode::kPowerOff, 1s, kStart);
  finishing.NoProcessLeft();
  EXPECT_EQ(finishing.NoProcessLeft(), Action::kNothing);
  EXPECT_EQ(finishing.ServicesDown(), Action::kNothing);
  EXPECT_EQ(finishing.OnlyAgentLeft(kStart), Action::kNothing);
  EXPECT_EQ(finishing.TimePassed(kStart + 1h), Action::kNothing);
  EXPECT_EQ(finishing.Request(ShutdownMode::kHalt, 1s, kStart), Action::kNothing);
}

}  // namespace
}  // namespace berth::init
