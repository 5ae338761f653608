// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shim/drain.h"

#include <unistd.h>

#include <array>
#include <cerrno>

namespace berth::shim {

Drain::Got Drain::ReadChunk() {
  // Static: the shim has one thread, and each page of stack would count twice towards its memory.
  static std::array<char, kChunkBytes> chunk;
  const ssize_t n = read(fd_.get(), chunk.data(), chunk.size());
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return Got::kNothingYet;
  if (n <= 0) return Got::kEnd;
  const std::string_view bytes(chunk.data(), static_cast<size_t>(n));
  log_.Write(bytes);
  tail_ += bytes.substr(bytes.size() - std::min(bytes.size(), kTailBytes));
  if (tail_.size() > kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
  return Got::kBytes;
}

void Drain::Finish() {
  constexpr size_t kMaxPipeBytes = 1024 * 1024;  // fs.pipe-max-size
  if (!fd_) return;
  for (size_t read_bytes = 0; read_bytes < kMaxPipeBytes; read_bytes += kChunkBytes) {
    if (ReadChunk() != Got::kBytes) break;
  }
}

}  // namespace berth::shim
