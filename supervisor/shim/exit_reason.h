// SPDX-License-Identifier: Apache-2.0
//
// Why a hypervisor ended, from what was seen of it. Pure; any thread.
#ifndef BERTH_SUPERVISOR_SHIM_EXIT_REASON_H_
#define BERTH_SUPERVISOR_SHIM_EXIT_REASON_H_

#include <string>

#include "supervisor/hypervisor/qmp_codec.h"
#include "supervisor/shim/exit_record.h"

namespace berth::shim {

struct ExitClues {
  int wait_status = 0;          // as wait4 gives it
  std::string shutdown_reason;  // of the last SHUTDOWN event; empty: there was none
  bool panic_event = false;     // GUEST_PANICKED

  void Note(const qmp::Event& event);
};

ExitReason ReasonOf(const ExitClues& clues);

}  // namespace berth::shim

#endif  // BERTH_SUPERVISOR_SHIM_EXIT_REASON_H_
