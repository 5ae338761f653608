// SPDX-License-Identifier: Apache-2.0
#include "protocol/files/checksum.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace berth::files {
namespace {

constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87;
constexpr uint64_t kPrime2 = 0xC2B2AE3D27D4EB4F;
constexpr uint64_t kPrime3 = 0x165667B19E3779F9;
constexpr uint64_t kPrime4 = 0x85EBCA77C2B2AE63;
constexpr uint64_t kPrime5 = 0x27D4EB2F165667C5;

static_assert(std::endian::native == std::endian::little, "words are read as they stand");

template <typename Word>
Word Load(const std::byte* bytes) {
  Word word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

uint64_t Round(uint64_t lane, uint64_t word) {
  return std::rotl(lane + word * kPrime2, 31) * kPrime1;
}

}  // namespace

Checksum::Checksum() : lanes_{kPrime1 + kPrime2, kPrime2, 0, 0 - kPrime1} {}

void Checksum::Stripe(const std::byte* bytes) {
  for (size_t i = 0; i < lanes_.size(); ++i) {
    lanes_[i] = Round(lanes_[i], Load<uint64_t>(bytes + i * 8));
  }
}

void Checksum::Add(std::span<const std::byte> bytes) {
  bytes_ += bytes.size();
  if (rest_bytes_ > 0) {
    const size_t taken = std::min(bytes.size(), kStripeBytes - rest_bytes_);
    std::ranges::copy(bytes.first(taken), rest_.begin() + static_cast<std::ptrdiff_t>(rest_bytes_));
    rest_bytes_ += taken;
    bytes = bytes.subspan(taken);
    if (rest_bytes_ < kStripeBytes) return;
    Stripe(rest_.data());
    rest_bytes_ = 0;
  }
  while (bytes.size() >= kStripeBytes) {
    Stripe(bytes.data());
    bytes = bytes.subspan(kStripeBytes);
  }
  std::ranges::copy(bytes, rest_.begin());
  rest_bytes_ = bytes.size();
}

void Checksum::Add(uint64_t number) { Add(std::as_bytes(std::span(&number, 1))); }

uint64_t Checksum::Value() const {
  uint64_t sum = kPrime5;
  if (bytes_ >= kStripeBytes) {
    sum = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) +
          std::rotl(lanes_[3], 18);
    for (const uint64_t lane : lanes_) sum = (sum ^ Round(0, lane)) * kPrime1 + kPrime4;
  }
  sum += bytes_;
  const std::byte* at = rest_.data();
  const std::byte* const end = at + rest_bytes_;
  for (; end - at >= 8; at += 8) {
    sum = std::rotl(sum ^ Round(0, Load<uint64_t>(at)), 27) * kPrime1 + kPrime4;
  }
  for (; end - at >= 4; at += 4) {
    sum = std::rotl(sum ^ (Load<uint32_t>(at) * kPrime1), 23) * kPrime2 + kPrime3;
  }
  for (; at != end; ++at) {
    sum = std::rotl(sum ^ (std::to_integer<uint64_t>(*at) * kPrime5), 11) * kPrime1;
  }
  sum = (sum ^ (sum >> 33)) * kPrime2;
  sum = (sum ^ (sum >> 29)) * kPrime3;
  return sum ^ (sum >> 32);
}

}  // namespace berth::files
