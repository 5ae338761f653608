// SPDX-License-Identifier: Apache-2.0
#include "agent/scrollback.h"

#include <algorithm>

namespace berth::agent {
namespace {

// Small writes share one; one that is full is dropped as a whole.
constexpr size_t kChunkBytes = 4 * 1024;

}  // namespace

void Scrollback::Append(wire::Stream stream, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (chunks_.empty() || chunks_.back().stream != stream ||
        chunks_.back().bytes.size() == kChunkBytes) {
      chunks_.push_back({.stream = stream, .bytes = {}});
    }
    std::vector<std::byte>& last = chunks_.back().bytes;
    const size_t taken = std::min(bytes.size(), kChunkBytes - last.size());
    last.insert(last.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(taken));
    bytes = bytes.subspan(taken);
    kept_ += taken;
    unsent_ += taken;
  }
  while (kept_ > wire::kMaxScrollbackBytes) {
    const size_t oldest = chunks_.front().bytes.size();
    // What was not sent of it will not be.
    if (at_chunk_ == 0) {
      unsent_ -= oldest - at_byte_;
      at_byte_ = 0;
    } else {
      --at_chunk_;
    }
    kept_ -= oldest;
    lost_ += oldest;
    chunks_.pop_front();
  }
}

Scrollback::Piece Scrollback::Take(std::span<std::byte> room) {
  Piece piece;
  while (unsent_ > 0 && piece.bytes < room.size()) {
    const Chunk& chunk = chunks_[at_chunk_];
    if (at_byte_ == chunk.bytes.size()) {
      ++at_chunk_;
      at_byte_ = 0;
      continue;
    }
    if (piece.bytes > 0 && chunk.stream != piece.stream) break;
    piece.stream = chunk.stream;
    const size_t taken = std::min(chunk.bytes.size() - at_byte_, room.size() - piece.bytes);
    std::copy_n(chunk.bytes.begin() + static_cast<ptrdiff_t>(at_byte_), taken,
                room.begin() + static_cast<ptrdiff_t>(piece.bytes));
    at_byte_ += taken;
    piece.bytes += taken;
    unsent_ -= taken;
  }
  return piece;
}

void Scrollback::Rewind() {
  at_chunk_ = 0;
  at_byte_ = 0;
  unsent_ = kept_;
}

}  // namespace berth::agent
