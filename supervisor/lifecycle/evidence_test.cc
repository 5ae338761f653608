// SPDX-License-Identifier: Apache-2.0
#include "supervisor/lifecycle/evidence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

namespace berth::lifecycle {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

Instance::View Exited(shim::ExitReason reason) {
  Instance::View view;
  view.launched = Launched{1, 2, 3, 4};
  view.exit = shim::ExitRecord{};
  view.exit->code = 0;
  view.exit->reason = reason;
  return view;
}

TEST(GuestCause, IsThePanicLineBehindItsTimeStamp) {
  EXPECT_EQ(GuestCause("[    0.1] Linux\r\n[    0.9] Kernel panic - not syncing: VFS: no root\r\n"
                       "[    0.9] Kernel panic - not syncing: later\r\n"),
            "Kernel panic - not syncing: VFS: no root");
}

TEST(GuestCause, PrefersTheWordsOfPid1ToThePanicThatFollowsThem) {
  EXPECT_EQ(GuestCause("berth-init: fatal: vsock: EAFNOSUPPORT\n"
                       "Kernel panic - not syncing: Attempted to kill init!\n"),
            "berth-init: fatal: vsock: EAFNOSUPPORT");
}

TEST(GuestCause, IsEmptyWhereTheConsoleGivesNone) {
  EXPECT_EQ(GuestCause(""), "");
  EXPECT_EQ(GuestCause("all is well\nberth-init: warning: x\n"), "");
}

TEST(GuestCause, StandsAtTheBeginningOfALine) {
  EXPECT_EQ(GuestCause("web: request for /Kernel panic - not syncing\n"
                       "[web] berth-init: fatal: not mine\n[1.0 berth-init: fatal: nor this\n"),
            "");
  EXPECT_EQ(GuestCause("[   12.345678] berth-init: fatal: vsock\n"), "berth-init: fatal: vsock");
}

TEST(GuestCause, CarriesNoControlCharactersToATerminal) {
  EXPECT_EQ(GuestCause("Kernel panic - not syncing: \x1b[2Jgone\n"),
            "Kernel panic - not syncing: ?[2Jgone");
}

TEST(LastLines, AreTheLastOnesThatAreNotBlank) {
  EXPECT_EQ(LastLines("a\n\nb\n  \nc\r\n", 2), "b | c");
  EXPECT_EQ(LastLines("", 2), "");
}

TEST(StartFailure, OfAGuestThatPanickedIsItsLineAndNotTheExitCode) {
  const Fault fault = ExplainStartFailure(Exited(shim::ExitReason::kGuestPanic),
                                          {"Kernel panic - not syncing: no init\n", "qemu words"},
                                          StartPhase::kBoot, milliseconds(8000));
  EXPECT_EQ(fault.kind, Kind::kStartFailed);
  EXPECT_EQ(fault.step, "boot");
  EXPECT_EQ(fault.detail, "Kernel panic - not syncing: no init");
}

TEST(StartFailure, OfAHypervisorThatEndedGivesItsLastWords) {
  auto view = Exited(shim::ExitReason::kCrashed);
  view.exit->code = 1;
  const Fault fault = ExplainStartFailure(view, {"", "qemu: could not open disk\n"},
                                          StartPhase::kBoot, milliseconds(8000));
  EXPECT_THAT(fault.detail, HasSubstr("code 1"));
  EXPECT_THAT(fault.detail, HasSubstr("qemu: could not open disk"));
  EXPECT_THAT(fault.detail, HasSubstr("console is empty"));
}

TEST(StartFailure, OfADeadlineNamesPhaseTimeAndTheConsolesLastLines) {
  Instance::View view;
  view.launched = Launched{1, 2, 3, 4};
  const Fault boot = ExplainStartFailure(view, {"Waiting for root device\n", ""}, StartPhase::kBoot,
                                         milliseconds(8000));
  EXPECT_EQ(boot.step, "boot");
  EXPECT_EQ(boot.errnum, ETIMEDOUT);
  EXPECT_THAT(boot.detail, HasSubstr("within 8 s"));
  EXPECT_THAT(boot.detail, HasSubstr("Waiting for root device"));
  const Fault launch = ExplainStartFailure({}, {}, StartPhase::kLaunch, milliseconds(1500));
  EXPECT_EQ(launch.step, "launch");
  EXPECT_THAT(launch.detail, HasSubstr("within 1500 ms"));
}

TEST(StartFailure, OfAWrongGenerationIsTheHandshakesError) {
  Instance::View view = Exited(shim::ExitReason::kCrashed);
  view.refused = Fault{Kind::kStartFailed, "handshake", EPROTONOSUPPORT, "generation 1, 99", {}};
  EXPECT_EQ(ExplainStartFailure(view, {}, StartPhase::kBoot, milliseconds(1)), *view.refused);
}

TEST(StartFailure, OfAShimThatCouldNotLaunchKeepsItsStep) {
  auto view = Exited(shim::ExitReason::kLaunchFailed);
  view.exit->failure = shim::Failure{"exec", ENOENT, "/usr/bin/qemu", "install it"};
  const Fault fault = ExplainStartFailure(view, {}, StartPhase::kLaunch, milliseconds(1));
  EXPECT_EQ(fault.step, "exec");
  EXPECT_EQ(fault.errnum, ENOENT);
  EXPECT_EQ(fault.hint, "install it");
}

TEST(Ending, IsCleanWhereTheGuestSwitchedItselfOff) {
  EXPECT_TRUE(ExplainEnd(Exited(shim::ExitReason::kGuestShutdown), {}).clean);
  EXPECT_TRUE(ExplainEnd(Exited(shim::ExitReason::kGuestReset), {}).clean);
  EXPECT_TRUE(ExplainEnd(Exited(shim::ExitReason::kHostQmpQuit), {}).clean);
}

TEST(Ending, OfAPanicThatRebootsTheGuestIsAFailureWithItsLine) {
  for (const auto reason : {shim::ExitReason::kGuestReset, shim::ExitReason::kGuestPanic,
                            shim::ExitReason::kGuestShutdown}) {
    const Ending ending = ExplainEnd(Exited(reason), {"Kernel panic - not syncing: sysrq\n", ""});
    EXPECT_FALSE(ending.clean);
    EXPECT_THAT(ending.how.detail, HasSubstr("sysrq"));
  }
}

TEST(Ending, OfAGuestThatToldItIsCleanWhateverItsServicesPrinted) {
  for (const auto reason : {shim::ExitReason::kGuestReset, shim::ExitReason::kGuestShutdown}) {
    auto view = Exited(reason);
    view.guest_exit =
        GuestExit{.cause = GuestExit::Cause::kMain, .name = "web", .code = 0, .signal = {}};
    const Ending ending = ExplainEnd(view, {"Kernel panic - not syncing: a joke\n", ""});
    EXPECT_TRUE(ending.clean);
    EXPECT_THAT(ending.how.detail, HasSubstr("exit code 0"));
  }
}

TEST(Ending, ByASignalThatNobodyHereSentIsAFailureThatNamesIt) {
  auto view = Exited(shim::ExitReason::kKilled);
  view.exit->code.reset();
  view.exit->signal = SIGKILL;
  const Ending strange = ExplainEnd(view, {});
  EXPECT_FALSE(strange.clean);
  EXPECT_THAT(strange.how.detail, HasSubstr("SIGKILL"));
  view.exit->kill_requested = true;
  EXPECT_TRUE(ExplainEnd(view, {}).clean);
}

TEST(Ending, WithoutAnyRecordIsAFailure) {
  Instance::View view;
  view.lost = Fault{Kind::kFailed, "shim", 0, "the shim was killed", {}};
  const Ending ending = ExplainEnd(view, {});
  EXPECT_FALSE(ending.clean);
  EXPECT_EQ(ending.how.detail, "the shim was killed");
}

TEST(Ending, SaysWhyTheGuestTookItselfDown) {
  auto view = Exited(shim::ExitReason::kGuestShutdown);
  view.guest_exit =
      GuestExit{.cause = GuestExit::Cause::kSignal, .name = "SIGTERM", .code = {}, .signal = {}};
  EXPECT_EQ(ExplainEnd(view, {}).how.detail,
            "the guest switched itself off: it was asked to by SIGTERM inside");
  view.exit->reason = shim::ExitReason::kHostQmpQuit;
  EXPECT_EQ(ExplainEnd(view, {}).how.detail, "the hypervisor was told to quit")
      << "what we did is no matter of the guest's";
}

}  // namespace
}  // namespace berth::lifecycle
