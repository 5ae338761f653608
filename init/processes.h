// SPDX-License-Identifier: Apache-2.0
//
// The guest's processes as /proc shows them, for the shutdown: kill(-1) cannot spare one, and the
// agent has to outlive the sessions whose end it reports to the host.
#ifndef BERTH_INIT_PROCESSES_H_
#define BERTH_INIT_PROCESSES_H_

#include <sys/types.h>

#include <optional>
#include <string_view>

namespace berth::init {

struct Process {
  pid_t pid;
  bool zombie;  // ended, and not yet reaped by its parent
  bool kernel;  // a kernel thread: no signal ends it
};

// The text of /proc/PID/stat, proc(5). The name in it is the process's own choice: it may hold
// blanks and parentheses.
std::optional<Process> ParseStat(std::string_view text);

// Sends `signal` to every process of user space but PID 1 and `spared`. One that is forked
// meanwhile may be missed.
void SignalAllBut(pid_t spared, int signal);

// A process of user space other than PID 1 and `spared`; one that runs, where there is one.
std::optional<Process> FindOther(pid_t spared);

}  // namespace berth::init

#endif  // BERTH_INIT_PROCESSES_H_
