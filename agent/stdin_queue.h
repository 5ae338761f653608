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
#include <vector>

#include "agent/buffer_pool.h"
#include "protocol/base/result.h"
#include "protocol/wire/limits.h"

namespace berth::agent {

class StdinQueue {
 public:
  // `fd` is non-blocking and stays its owner's. -1: the program has no stdin.
  // The pool outlives this.
  StdinQueue(int fd, bool tty, BufferPool& pool)
      : fd_(fd), tty_(tty), pool_(pool), open_(fd >= 0), ended_(fd < 0) {}

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
  bool finished() const { return !open_ || (ended_ && chunks_.empty()); }
  // The program closed its stdin although more might come: the host is told once.
  bool TakeClosedByProgram() { return std::exchange(closed_by_program_, false); }
  // Bytes the host may send anew, once they are worth a message; 0 else.
  size_t TakeCredit();
  // The window that another host finds: all that the program has taken is granted.
  size_t Regrant();
  bool open() const { return open_ && !ended_; }
  bool ended() const { return ended_; }

 private:
  // Buffers of the pool rather than one that grows: no byte moves twice, and no memory is asked of
  // the kernel anew each time the queue fills.
  struct Chunk {
    BufferPool::Buffer buffer;
    size_t begin = 0;
    size_t end = 0;
  };

  void Queue(std::span<const std::byte> bytes);
  // Returns how many bytes the pipe took.
  size_t WriteSome(std::span<const std::byte> bytes);
  void SendTerminalEnd();

  int fd_;
  bool tty_;
  BufferPool& pool_;
  bool open_;   // the program may still read
  bool ended_;  // the host has no more
  bool pipe_full_ = false;
  bool closed_by_program_ = false;
  bool line_begins_ = true;                  // on a terminal: the last byte written ended a line
  std::vector<Chunk> chunks_;                // none is empty
  size_t window_ = wire::kStdinWindowBytes;  // what the host may still send
  size_t taken_ = 0;                         // by the program, not granted anew yet
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_STDIN_QUEUE_H_
