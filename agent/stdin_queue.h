// SPDX-License-Identifier: Apache-2.0
//
// StdinQueue: the stdin of a session on its way from the host to the program, under the window of
// wire::kStdinWindowBytes. The host may have so many bytes here and on the wire that the program
// has not taken; more is its error. So the connection is always read, and a signal never waits
// behind stdin that nobody reads. Owns the descriptor; one thread; never waits.
#ifndef BERTH_AGENT_STDIN_QUEUE_H_
#define BERTH_AGENT_STDIN_QUEUE_H_

#include <cstddef>
#include <span>
#include <string>

#include "protocol/base/result.h"
#include "protocol/wire/limits.h"

namespace berth::agent {

class StdinQueue {
 public:
  // `fd` is non-blocking and stays its owner's. -1: the program has no stdin.
  StdinQueue(int fd, bool tty) : fd_(fd), tty_(tty), open_(fd >= 0), ended_(fd < 0) {}

  // Takes what the host sent: into the pipe what fits, the rest into the queue. EPROTO where it is
  // beyond the window or behind the end.
  Result<> Take(std::span<const std::byte> bytes);
  // No more comes from the host.
  Result<> TakeEnd();

  // Moves the queue on into the pipe.
  void Feed();

  // There is something to write, and the pipe was full when last tried.
  bool blocked() const { return open_ && pipe_full_; }
  // Everything was written and no more comes, or the program closed its stdin: the owner closes the
  // descriptor.
  bool finished() const { return !open_ || (ended_ && queued() == 0); }
  // The program closed its stdin although more might come: the host is told once.
  bool TakeClosedByProgram() { return std::exchange(closed_by_program_, false); }
  // Bytes the host may send anew, once they are worth a message; 0 else.
  size_t TakeCredit();
  bool ended() const { return ended_; }

 private:
  size_t queued() const { return queue_.size() - queue_begin_; }
  // Returns how many bytes the pipe took.
  size_t WriteSome(std::span<const std::byte> bytes);
  void SendTerminalEnd();

  int fd_;
  bool tty_;
  bool open_;   // the program may still read
  bool ended_;  // the host has no more
  bool pipe_full_ = false;
  bool closed_by_program_ = false;
  bool line_begins_ = true;  // on a terminal: the last byte written ended a line
  std::string queue_;
  size_t queue_begin_ = 0;
  size_t window_ = wire::kStdinWindowBytes;  // what the host may still send
  size_t taken_ = 0;                         // by the program, not granted anew yet
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_STDIN_QUEUE_H_
