// SPDX-License-Identifier: Apache-2.0
//
// CRC-32C (RFC 3720, appendix B.4): tells a batch that a crash cut short from a whole one. It is no
// protection against who writes to the file on purpose.
#ifndef BERTH_SUPERVISOR_LOGS_CRC32C_H_
#define BERTH_SUPERVISOR_LOGS_CRC32C_H_

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace berth::logs {

namespace crc_internal {

// Table k holds what a byte comes to with k zero bytes behind it: eight bytes are one step.
consteval std::array<std::array<uint32_t, 256>, 8> MakeTables() {
  constexpr uint32_t kPolynomial = 0x82f63b78;  // bits reversed
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][i] = crc;
  }
  for (size_t k = 1; k < tables.size(); ++k) {
    for (size_t i = 0; i < 256; ++i) {
      const uint32_t before = tables[k - 1][i];
      tables[k][i] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}
inline constexpr auto kTables = MakeTables();

}  // namespace crc_internal

inline uint32_t Crc32c(std::string_view bytes) {
  using crc_internal::kTables;
  uint32_t crc = ~uint32_t{0};
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof(word));
    word ^= crc;
    crc = kTables[7][word & 0xff] ^ kTables[6][word >> 8 & 0xff] ^ kTables[5][word >> 16 & 0xff] ^
          kTables[4][word >> 24 & 0xff] ^ kTables[3][word >> 32 & 0xff] ^
          kTables[2][word >> 40 & 0xff] ^ kTables[1][word >> 48 & 0xff] ^ kTables[0][word >> 56];
  }
  for (const char c : bytes) {
    crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<uint8_t>(c)) & 0xff];
  }
  return ~crc;
}

}  // namespace berth::logs

#endif  // BERTH_SUPERVISOR_LOGS_CRC32C_H_
