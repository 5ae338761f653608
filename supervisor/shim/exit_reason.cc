// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shim/exit_reason.h"

#include <signal.h>
#include <sys/wait.h>

namespace berth::shim {

void ExitClues::Note(const qmp::Event& event) {
  // QEMU qapi/run-state.json: ShutdownCause.
  if (event.name == "SHUTDOWN") shutdown_reason = event.Text("reason");
  if (event.name == "GUEST_PANICKED") panic_event = true;
}

ExitReason ReasonOf(const ExitClues& clues) {
  if (WIFSIGNALED(clues.wait_status)) {
    const int signal = WTERMSIG(clues.wait_status);
    return signal == SIGKILL || signal == SIGTERM ? ExitReason::kKilled : ExitReason::kCrashed;
  }
  if (WEXITSTATUS(clues.wait_status) != 0) return ExitReason::kCrashed;
  const std::string& reason = clues.shutdown_reason;
  if (clues.panic_event || reason == "guest-panic") return ExitReason::kGuestPanic;
  if (reason == "guest-shutdown") return ExitReason::kGuestShutdown;
  if (reason == "guest-reset") return ExitReason::kGuestReset;
  if (reason == "host-qmp-quit" || reason == "host-ui") return ExitReason::kHostQmpQuit;
  if (reason == "host-signal") return ExitReason::kKilled;
  if (reason == "host-error") return ExitReason::kCrashed;
  return ExitReason::kUnknown;
}

}  // namespace berth::shim
