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
      {"power-off", {Exited(0), "guest-shutdown", false}, ExitReason::kGuestShutdown},
      {"reboot", {Exited(0), "guest-reset", false}, ExitReason::kGuestReset},
      {"panic device", {Exited(0), "guest-panic", true}, ExitReason::kGuestPanic},
      {"panic event only", {Exited(0), "", true}, ExitReason::kGuestPanic},
      {"quit", {Exited(0), "host-qmp-quit", false}, ExitReason::kHostQmpQuit},
      {"SIGTERM taken by the hypervisor", {Exited(0), "host-signal", false}, ExitReason::kKilled},
      {"SIGKILL", {SIGKILL, "", false}, ExitReason::kKilled},
      {"SIGKILL during power-off", {SIGKILL, "guest-shutdown", false}, ExitReason::kKilled},
      {"SIGSEGV", {SIGSEGV, "", false}, ExitReason::kCrashed},
      {"SIGABRT with core bit", {SIGABRT | 0x80, "", false}, ExitReason::kCrashed},
      {"own failure", {Exited(1), "", false}, ExitReason::kCrashed},
      {"silent end", {Exited(0), "", false}, ExitReason::kUnknown},
      {"a reason of tomorrow", {Exited(0), "guest-nap", false}, ExitReason::kUnknown},
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
