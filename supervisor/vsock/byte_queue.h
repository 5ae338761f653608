// SPDX-License-Identifier: Apache-2.0
//
// A bounded FIFO of bytes: what a host client has not yet taken. Circular, and allocated when first
// used, for most connections never need it.
#ifndef BERTH_SUPERVISOR_VSOCK_BYTE_QUEUE_H_
#define BERTH_SUPERVISOR_VSOCK_BYTE_QUEUE_H_

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>

namespace berth::vsock {

class ByteQueue {
 public:
  explicit ByteQueue(size_t capacity) : capacity_(capacity) {}

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Appends the bytes of `iov` from `skip` on; false (and nothing appended) where they do not fit.
  bool Append(std::span<const iovec> iov, size_t skip);
  // The queued bytes in order, as one or two parts (a part may be empty).
  std::array<iovec, 2> Front() const;
  void Consume(size_t bytes);
  void Clear();

 private:
  size_t capacity_;
  size_t start_ = 0;
  size_t size_ = 0;
  std::unique_ptr<std::byte[]> bytes_;
};

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_BYTE_QUEUE_H_
