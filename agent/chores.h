// SPDX-License-Identifier: Apache-2.0
//
// Chores: what the agent must not do itself, because a system call may block for as long as it
// likes. It starts itself again with kChoreFlag, in a child with a deadline.
#ifndef BERTH_AGENT_CHORES_H_
#define BERTH_AGENT_CHORES_H_

#include <span>

namespace berth::agent {

inline constexpr const char* kChoreFlag = "--chore";

// `args`: behind kChoreFlag. What it finds goes to stdout; the exit code is 0 where it was done.
//   check-file PATH   whether it is there; why not
//   freeze PATH...    FIFREEZE, one after the other: an errno for each, a line each
//   thaw PATH...      FITHAW, the same
//   online FOLDER     processors and memory below /sys/devices/system: how many were online, are
//                     and could be, a line each; and what would not
int RunChore(std::span<char*> args);

}  // namespace berth::agent

#endif  // BERTH_AGENT_CHORES_H_
