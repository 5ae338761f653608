// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shim/exit_reason.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace berth::shim {
namespace {

constexpr int Exited(int code) { return code << 8; }

struct Row {
  const char* what;
  ExitClues clues;
  ExitReason reason;
};

TEST(ExitReason, FollowsFromTheClues) {
  const Row rows[] = {
      {"power-off", {Exited(0), "guest-shutdown", false, false}, ExitReason::kGuestShutdown},
      {"reboot", {Exited(0), "guest-reset", false, false}, ExitReason::kGuestReset},
      {"panic, then reset", {Exited(0), "guest-reset", false, true}, ExitReason::kGuestPanic},
      {"panic device", {Exited(0), "guest-panic", true, false}, ExitReason::kGuestPanic},
      {"panic event only", {Exited(0), "", true, false}, ExitReason::kGuestPanic},
      {"quit", {Exited(0), "host-qmp-quit", false, false}, ExitReason::kHostQmpQuit},
      {"quit after a panic line",
       {Exited(0), "host-qmp-quit", false, true},
       ExitReason::kHostQmpQuit},
      {"SIGTERM taken by the hypervisor",
       {Exited(0), "host-signal", false, false},
       ExitReason::kKilled},
      {"SIGKILL", {SIGKILL, "", false, false}, ExitReason::kKilled},
      {"SIGKILL during power-off", {SIGKILL, "guest-shutdown", false, false}, ExitReason::kKilled},
      {"SIGSEGV", {SIGSEGV, "", false, false}, ExitReason::kCrashed},
      {"SIGABRT with core bit", {SIGABRT | 0x80, "", false, false}, ExitReason::kCrashed},
      {"own failure", {Exited(1), "", false, false}, ExitReason::kCrashed},
      {"silent end", {Exited(0), "", false, false}, ExitReason::kUnknown},
      {"silent end after a panic line", {Exited(0), "", false, true}, ExitReason::kUnknown},
      {"a reason of tomorrow", {Exited(0), "guest-nap", false, false}, ExitReason::kUnknown},
  };
  for (const Row& row : rows) EXPECT_EQ(ReasonOf(row.clues), row.reason) << row.what;
}

TEST(ExitReason, CluesComeFromEvents) {
  ExitClues clues;
  clues.Note({"SHUTDOWN", {{"guest", true}, {"reason", "guest-reset"}}});
  clues.Note({"STOP", {{"reason", "other"}}});
  EXPECT_EQ(clues.shutdown_reason, "guest-reset");
  EXPECT_FALSE(clues.panic_event);
  clues.Note({"GUEST_PANICKED", {{"action", "pause"}}});
  EXPECT_TRUE(clues.panic_event);
}

}  // namespace
}  // namespace berth::shim
