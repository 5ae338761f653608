// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/byte_queue.h"

#include <algorithm>

#include "supervisor/vsock/iov.h"

namespace berth::vsock {

bool ByteQueue::Append(std::span<const iovec> iov, size_t skip) {
  const size_t total = TotalBytes(iov);
  if (skip >= total) return true;
  if (total - skip > capacity_ - size_) return false;
  // Not value-initialised: the pages of a queue that stays short are never touched.
  if (bytes_ == nullptr) bytes_ = std::make_unique_for_overwrite<std::byte[]>(capacity_);
  for (const iovec& part : iov) {
    if (skip >= part.iov_len) {
      skip -= part.iov_len;
      continue;
    }
    const std::byte* from = static_cast<const std::byte*>(part.iov_base) + skip;
    size_t left = part.iov_len - skip;
    skip = 0;
    while (left > 0) {
      const size_t end = (start_ + size_) % capacity_;
      const size_t take = std::min(left, capacity_ - end);
      CopyOnce(bytes_.get() + end, from, take);
      size_ += take;
      from += take;
      left -= take;
    }
  }
  return true;
}

std::array<iovec, 2> ByteQueue::Front() const {
  const size_t first = std::min(size_, capacity_ - start_);
  return {iovec{bytes_.get() + start_, first}, iovec{bytes_.get(), size_ - first}};
}

void ByteQueue::Consume(size_t bytes) {
  size_ -= bytes;
  start_ = size_ == 0 ? 0 : (start_ + bytes) % capacity_;
}

void ByteQueue::Clear() {
  size_ = 0;
  start_ = 0;
  bytes_.reset();
}

}  // namespace berth::vsock
