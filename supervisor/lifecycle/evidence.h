// SPDX-License-Identifier: Apache-2.0
//
// From what is left of a VM to the sentence that says why: its last console lines, the hypervisor's
// last words, its exit record. Console and guest are hostile: what is taken from them is cut and
// cleaned. Pure functions; any thread.
#ifndef BERTH_SUPERVISOR_LIFECYCLE_EVIDENCE_H_
#define BERTH_SUPERVISOR_LIFECYCLE_EVIDENCE_H_

#include <string>
#include <string_view>

#include "supervisor/lifecycle/instance.h"

namespace berth::lifecycle {

// The line in which the guest says why it gave up, printable: "Kernel panic - not syncing: …" or
// "berth-init: fatal: …", the first of the latter as it names the cause of the former. Empty: none.
std::string GuestCause(std::string_view console);

// The last `lines` lines that are not blank, joined by " | ", printable.
std::string LastLines(std::string_view log, int lines);

// "8 s", "1500 ms": whole seconds as seconds.
std::string ShowDuration(std::chrono::milliseconds duration);

// How far a start has come, for saying where a deadline passed.
enum class StartPhase : uint8_t { kLaunch, kBoot };

// Why a start failed: the instance ended, was refused, or the deadline of `phase` passed.
Fault ExplainStartFailure(const Instance::View& view, const Evidence& evidence, StartPhase phase,
                          std::chrono::milliseconds allowed);

// Whether an instance that ended on its own did so in order (the guest switched it off), and the
// sentence that says how it ended.
struct Ending {
  bool clean = false;
  Fault how;  // clean: only the detail
};
Ending ExplainEnd(const Instance::View& view, const Evidence& evidence);

}  // namespace berth::lifecycle

#endif  // BERTH_SUPERVISOR_LIFECYCLE_EVIDENCE_H_
