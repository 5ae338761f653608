// SPDX-License-Identifier: Apache-2.0
//
// Buffers for what is on its way between a program and the host. A session holds them only while
// bytes are on the way, so idle sessions cost none: one for output, also where the host never
// reads, and for stdin as many as its window fills. The pool belongs to the agent and outlives its
// sessions; one thread.
#ifndef BERTH_AGENT_BUFFER_POOL_H_
#define BERTH_AGENT_BUFFER_POOL_H_

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "protocol/wire/limits.h"

namespace berth::agent {

class BufferPool {
 public:
  // One vsock packet. Linux 6.1 takes a packet's memory in powers of two, its own bookkeeping
  // included, and zeroes it: for 64 KiB of data that is 128.
  static constexpr size_t kBufferBytes = 60 * 1024;
  static constexpr size_t kPayloadBytes = kBufferBytes - wire::kFrameHeaderBytes;
  static_assert(kPayloadBytes <= wire::kMaxDataBytes);
  // Kept for reuse; more are freed when they come back.
  static constexpr size_t kMaxIdle = 4;

  // kBufferBytes, a frame header and payload; goes back to the pool by itself.
  class Buffer {
   public:
    Buffer() = default;
    Buffer(Buffer&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)), bytes_(std::move(other.bytes_)) {}
    Buffer& operator=(Buffer&& other) noexcept {
      if (this != &other) {
        Reset();
        pool_ = std::exchange(other.pool_, nullptr);
        bytes_ = std::move(other.bytes_);
      }
      return *this;
    }
    ~Buffer() { Reset(); }

    void Reset() {
      if (bytes_) pool_->Return(std::move(bytes_));
      bytes_ = nullptr;
    }
    explicit operator bool() const { return bytes_ != nullptr; }
    std::span<std::byte> bytes() const { return {bytes_.get(), kBufferBytes}; }

   private:
    friend class BufferPool;
    Buffer(BufferPool* pool, std::unique_ptr<std::byte[]> bytes)
        : pool_(pool), bytes_(std::move(bytes)) {}
    BufferPool* pool_ = nullptr;
    std::unique_ptr<std::byte[]> bytes_;
  };

  Buffer Take() {
    if (idle_.empty()) {
      return {this, std::make_unique_for_overwrite<std::byte[]>(kBufferBytes)};
    }
    auto bytes = std::move(idle_.back());
    idle_.pop_back();
    return {this, std::move(bytes)};
  }

 private:
  void Return(std::unique_ptr<std::byte[]> bytes) {
    if (idle_.size() < kMaxIdle) idle_.push_back(std::move(bytes));
  }

  std::vector<std::unique_ptr<std::byte[]>> idle_;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_BUFFER_POOL_H_
