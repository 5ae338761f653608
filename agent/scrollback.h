// SPDX-License-Identifier: Apache-2.0
//
// Scrollback: what a session that outlives its connections has put out last, for whoever attaches
// next. Bounded: the oldest goes first, and how much of it is counted. A cursor says what the
// client that is attached has been sent. One thread.
#ifndef BERTH_AGENT_SCROLLBACK_H_
#define BERTH_AGENT_SCROLLBACK_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "protocol/wire/frame.h"
#include "protocol/wire/limits.h"

namespace berth::agent {

class Scrollback {
 public:
  void Append(wire::Stream stream, std::span<const std::byte> bytes);

  struct Piece {
    wire::Stream stream{};
    size_t bytes = 0;
  };
  // Copies the next unsent bytes, of one stream, into `room`; no bytes: all was sent.
  Piece Take(std::span<std::byte> room);
  // From the oldest byte kept on, for a new client.
  void Rewind();

  size_t unsent() const { return unsent_; }
  // Bytes that are gone for good.
  uint64_t lost() const { return lost_; }

 private:
  struct Chunk {
    wire::Stream stream{};
    std::vector<std::byte> bytes;
  };

  std::deque<Chunk> chunks_;
  size_t kept_ = 0;      // bytes in chunks_
  size_t unsent_ = 0;    // of those, behind the cursor
  size_t at_chunk_ = 0;  // the cursor
  size_t at_byte_ = 0;
  uint64_t lost_ = 0;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_SCROLLBACK_H_
