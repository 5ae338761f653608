// SPDX-License-Identifier: Apache-2.0
//
// Takes memory until there is none: for the tests of what happens then.
#include <sys/mman.h>

#include <cstddef>

int main() {
  constexpr size_t kChunkBytes = 1024 * 1024;
  constexpr size_t kPageBytes = 4096;
  for (;;) {
    void* const chunk =
        mmap(nullptr, kChunkBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (chunk == MAP_FAILED) return 1;
    auto* const bytes = static_cast<volatile char*>(chunk);
    for (size_t at = 0; at < kChunkBytes; at += kPageBytes) bytes[at] = 1;
  }
}
