// SPDX-License-Identifier: Apache-2.0
//
// Base64 (RFC 4648, section 4): how bytes that are no UTF-8 go through JSON.
#ifndef BERTH_SUPERVISOR_LOGS_BASE64_H_
#define BERTH_SUPERVISOR_LOGS_BASE64_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace berth::logs {

inline constexpr std::string_view kBase64Digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

inline std::string Base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (; !bytes.empty(); bytes.remove_prefix(bytes.size() < 3 ? bytes.size() : 3)) {
    uint32_t word = 0;
    for (size_t i = 0; i < 3; ++i) {
      word = word << 8 | (i < bytes.size() ? static_cast<uint8_t>(bytes[i]) : 0U);
    }
    for (size_t i = 0; i < 4; ++i) {
      out += i <= bytes.size() ? kBase64Digits[word >> (18 - 6 * i) & 63] : '=';
    }
  }
  return out;
}

// What is no Base64 ends it.
inline std::string FromBase64(std::string_view text) {
  std::string out;
  uint32_t word = 0;
  int bits = 0;
  for (const char c : text) {
    const size_t digit = kBase64Digits.find(c);
    if (digit == std::string_view::npos) break;
    word = word << 6 | static_cast<uint32_t>(digit);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out += static_cast<char>(word >> bits & 0xff);
  }
  return out;
}

}  // namespace berth::logs

#endif  // BERTH_SUPERVISOR_LOGS_BASE64_H_
