// SPDX-License-Identifier: Apache-2.0
//
// Drain: the shim's end of a pipe that a child writes to. It is emptied into a bounded log whatever
// the child sends and however fast, so the child never blocks on it and the shim never grows. Owns
// the descriptor; one thread.
#ifndef BERTH_SUPERVISOR_SHIM_DRAIN_H_
#define BERTH_SUPERVISOR_SHIM_DRAIN_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "protocol/base/unique_fd.h"
#include "supervisor/shim/bounded_log.h"

namespace berth::shim {

class Drain {
 public:
  // One chunk a wake: the other descriptors get their turn between two of them.
  static constexpr size_t kChunkBytes = 32 * 1024;
  static constexpr size_t kTailBytes = 1024;

  // `log` outlives this. `fd` does not block.
  Drain(UniqueFd fd, BoundedLog& log) : fd_(std::move(fd)), log_(log) {}

  int fd() const { return fd_.get(); }

  // Reads one chunk. False at the end of the stream.
  bool OnReady() { return ReadChunk() != Got::kEnd; }
  // Reads what is left, after the child has ended: at most what a pipe can hold.
  void Finish();

  // The last bytes, for an error message.
  const std::string& tail() const { return tail_; }

 private:
  enum class Got { kBytes, kNothingYet, kEnd };
  Got ReadChunk();

  UniqueFd fd_;
  BoundedLog& log_;
  std::string tail_;
};

}  // namespace berth::shim

#endif  // BERTH_SUPERVISOR_SHIM_DRAIN_H_
