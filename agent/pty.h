// SPDX-License-Identifier: Apache-2.0
//
// A pseudo-terminal for a session.
#ifndef BERTH_AGENT_PTY_H_
#define BERTH_AGENT_PTY_H_

#include <sys/types.h>

#include <cstdint>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::agent {

struct Pty {
  UniqueFd master;  // ours
  UniqueFd slave;   // the session's stdin, stdout and stderr
};

// The slave belongs to `owner`, so that the session may open /dev/tty and its own /dev/pts/N.
// Error::step is pty.
Result<Pty> OpenPty(uint32_t rows, uint32_t columns, uid_t owner);

// The kernel tells the foreground process group by SIGWINCH.
Result<> ResizePty(int master, uint32_t rows, uint32_t columns);

// The process group in the foreground, or -1.
pid_t ForegroundGroup(int master);

// What to write into the master so that a program that reads lines meets the end of its input;
// '\0' where the terminal is not in line mode and has no such thing.
char EndOfFileCharacter(int master);

}  // namespace berth::agent

#endif  // BERTH_AGENT_PTY_H_
