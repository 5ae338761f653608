// SPDX-License-Identifier: Apache-2.0
//
// Scatter lists over guest memory. A guest can write to its memory at any moment: CopyOnce is the
// only way that code here looks at a value in it, and whoever calls it uses the copy from then on.
#ifndef BERTH_SUPERVISOR_VSOCK_IOV_H_
#define BERTH_SUPERVISOR_VSOCK_IOV_H_

#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

namespace berth::vsock {

// Copies shared memory exactly once: the barrier keeps the compiler from reading the source again
// later.
inline void CopyOnce(void* to, const void* from, size_t bytes) {
  std::memcpy(to, from, bytes);
  asm volatile("" ::: "memory");
}

inline size_t TotalBytes(std::span<const iovec> iov) {
  size_t total = 0;
  for (const iovec& part : iov) total += part.iov_len;
  return total;
}

// Writes into `out` (at least iov.size() long) the parts of `iov` that hold bytes [skip, skip +
// bytes); returns how many parts. Stops early where `iov` is shorter.
inline size_t SliceIov(std::span<const iovec> iov, size_t skip, size_t bytes, iovec* out) {
  size_t count = 0;
  for (const iovec& part : iov) {
    if (bytes == 0) break;
    if (skip >= part.iov_len) {
      skip -= part.iov_len;
      continue;
    }
    const size_t take = std::min(part.iov_len - skip, bytes);
    out[count++] = iovec{static_cast<std::byte*>(part.iov_base) + skip, take};
    bytes -= take;
    skip = 0;
  }
  return count;
}

// Copies out.size() bytes from the front of `iov`; false where it holds fewer.
inline bool CopyFromIov(std::span<const iovec> iov, std::span<std::byte> out) {
  for (const iovec& part : iov) {
    if (out.empty()) break;
    const size_t take = std::min(part.iov_len, out.size());
    CopyOnce(out.data(), part.iov_base, take);
    out = out.subspan(take);
  }
  return out.empty();
}

// Copies all of `data` to the front of `iov`; false where it has less room.
inline bool CopyToIov(std::span<const iovec> iov, std::span<const std::byte> data) {
  for (const iovec& part : iov) {
    if (data.empty()) break;
    const size_t take = std::min(part.iov_len, data.size());
    std::memcpy(part.iov_base, data.data(), take);
    data = data.subspan(take);
  }
  return data.empty();
}

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_IOV_H_
