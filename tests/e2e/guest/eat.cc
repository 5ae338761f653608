// SPDX-License-Identifier: Apache-2.0
//
// Takes memory until there is none: for the tests of what happens then.
#include <cstdlib>
#include <cstring>

int main() {
  constexpr size_t kChunkBytes = 1024 * 1024;
  for (;;) {
    void* const chunk = std::malloc(kChunkBytes);
    if (chunk == nullptr) return 1;
    std::memset(chunk, 1, kChunkBytes);
  }
}
