// SPDX-License-Identifier: Apache-2.0
//
// Checksum: XXH64 with seed 0, as github.com/Cyan4973/xxHash specifies it (doc/xxhash_spec.md). It
// finds what a fault of ours, of the vsock device or of memory does to a file on its way. It is no
// proof against a peer that lies: that one computes it, whatever it is. For that it costs next to
// nothing, also on an emulated processor, which has neither SHA nor wide vectors to offer.
#ifndef BERTH_PROTOCOL_FILES_CHECKSUM_H_
#define BERTH_PROTOCOL_FILES_CHECKSUM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace berth::files {

class Checksum {
 public:
  Checksum();
  void Add(std::span<const std::byte> bytes);
  // Eight bytes, little-endian.
  void Add(uint64_t number);
  // Of all that was added so far.
  uint64_t Value() const;

 private:
  static constexpr size_t kStripeBytes = 32;
  void Stripe(const std::byte* bytes);

  std::array<uint64_t, 4> lanes_;
  std::array<std::byte, kStripeBytes> rest_{};
  size_t rest_bytes_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace berth::files

#endif  // BERTH_PROTOCOL_FILES_CHECKSUM_H_
