// SPDX-License-Identifier: Apache-2.0
//
// The caller's side of an exec session: moves bytes between the caller's stdin, stdout and stderr
// and the session until the program ends.
//
// It runs in the caller's thread, with poll(2): the caller's descriptors may be anything (a
// terminal, a pipe, a file, /dev/null), many of which an epoll-based loop cannot take. Nothing it
// does waits but that poll. What the guest sends is bounded and checked; how long a session may be
// silent is not bounded.
#ifndef BERTH_SUPERVISOR_GUEST_EXEC_CLIENT_H_
#define BERTH_SUPERVISOR_GUEST_EXEC_CLIENT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::guest {

struct ExecStreams {
  int stdin_fd = 0;  // -1: none. Read only where the request said stdin_open.
  int stdout_fd = 1;
  int stderr_fd = 2;
  bool stdin_open = false;  // as in the request
  bool tty = false;         // as in the request: stdin, if it is a terminal, becomes raw
  // Of ExecStart with `detach`: return as soon as the program runs.
  bool detach = false;
  // The connection carries ExecAttach: what it is the guest says. HUP, INT, QUIT and TERM, and with
  // a tty the key below, leave the session, which goes on.
  bool attach = false;
  char leave_key = '\x1d';  // Ctrl-]; '\0': none
  // Where the agent's instance id goes, as 32 hex digits, once it has said Hello.
  std::string* instance_id = nullptr;
  // Without a tty SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1 and SIGUSR2 go to the program, but the
  // third of the first four within 3 s ends the session. With a tty they end it at once, and
  // SIGWINCH resizes it. They must not be handled in another thread.
  bool take_signals = true;
};

struct ExecOutcome {
  uint32_t pid = 0;         // in the guest
  std::string session;      // its id; empty: the guest is older than ids
  bool left = false;        // detached from: the program goes on
  uint64_t lost_bytes = 0;  // attached: of its output, before what was shown
  // One of the two.
  std::optional<uint32_t> code;
  std::optional<uint32_t> signal;
  bool core_dumped = false;
  bool timed_out = false;
  bool output_held = false;  // a background process still holds stdout or stderr
  // The last process that the guest's kernel killed for want of memory meanwhile, where the program
  // did not end with code 0: as ExplainOomKill says it. Empty: none.
  std::string oom_kill;
  uint64_t user_us = 0;
  uint64_t system_us = 0;
  uint64_t max_rss_kib = 0;
  uint64_t wall_us = 0;
};

// `connection` is a dialled one on which Hello and ExecStart were sent. Returns when the program
// has ended and its output is written. Errors:
//   guest               a Failure from the agent: the program was not started
//   handshake           no common generation, or no agent
//   session             ECONNRESET: ended early, the agent or the VM went away; EPROTO
//   write-output        EPIPE: the reader of our stdout or stderr is gone
//   interrupted         EINTR: a signal ended the session, or left it; detail is "signal N"
// The terminal is as it was before, whatever happens.
Result<ExecOutcome> RunExecSession(UniqueFd connection, const ExecStreams& streams);

}  // namespace berth::guest

#endif  // BERTH_SUPERVISOR_GUEST_EXEC_CLIENT_H_
