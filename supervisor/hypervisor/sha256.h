// SPDX-License-Identifier: Apache-2.0
//
// SHA-256 (FIPS 180-4), for the digests an image states of its files: no library that Berth links
// on the host has it. By the CPU's own instructions where it has them, seven times as fast as plain
// code. Values; any thread.
#ifndef BERTH_SUPERVISOR_HYPERVISOR_SHA256_H_
#define BERTH_SUPERVISOR_HYPERVISOR_SHA256_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "protocol/base/result.h"

namespace berth {

class Sha256 {
 public:
  Sha256() : Sha256(HasShaInstructions()) {}
  // For the test of both: `instructions` only where the CPU has them.
  explicit Sha256(bool instructions) : instructions_(instructions) {}
  static bool HasShaInstructions();

  void Update(std::span<const std::byte> data);
  // Lower-case hex. The object is spent afterwards.
  std::string HexDigest();

 private:
  void Blocks(std::span<const std::byte> data);  // whole ones

  bool instructions_;
  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> pending_{};
  size_t pending_bytes_ = 0;
  uint64_t total_bytes_ = 0;
};

// The digest of a file, read to its end. `go_on` is asked before each piece; its error ends it.
Result<std::string> Sha256OfFile(
    const std::string& path, const std::function<Result<>()>& go_on = [] { return Result<>{}; });

}  // namespace berth

#endif  // BERTH_SUPERVISOR_HYPERVISOR_SHA256_H_
