// SPDX-License-Identifier: Apache-2.0
#include "protocol/base/text.h"

#include <algorithm>
#include <cstdint>

namespace berth {
namespace {

struct Character {
  uint32_t point = 0;
  size_t bytes = 0;  // 0: no UTF-8
};

// The first one of `text`, which is not empty. RFC 3629.
Character First(std::string_view text) {
  const auto lead = static_cast<uint8_t>(text.front());
  const size_t bytes = lead < 0x80             ? 1
                       : lead >> 5 == 0b110    ? 2
                       : lead >> 4 == 0b1110   ? 3
                       : lead >> 3 == 0b1'1110 ? 4
                                               : 0;
  if (bytes == 0 || bytes > text.size()) return {};
  uint32_t point = bytes == 1 ? lead : lead & (0xffU >> (bytes + 1));
  for (const char c : text.substr(1, bytes - 1)) {
    const auto next = static_cast<uint8_t>(c);
    if ((next & 0xc0) != 0x80) return {};
    point = point << 6 | (next & 0x3fU);
  }
  // Overlong forms, surrogates and what lies beyond Unicode are none either.
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool good =
      point >= kLeast[bytes] && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
  return good ? Character{point, bytes} : Character{};
}

bool DrivesATerminal(uint32_t point) {
  return point < 0x20 || (point >= 0x7f && point < 0xa0) || (point >= 0x2028 && point <= 0x202e) ||
         (point >= 0x2066 && point <= 0x2069);
}

template <typename Refused>
std::string Clean(std::string_view text, size_t max_bytes, Refused&& refused) {
  std::string clean;
  clean.reserve(std::min(text.size(), max_bytes));
  while (!text.empty()) {
    const Character next = First(text);
    const bool good = next.bytes > 0 && !refused(next.point);
    const size_t put = good ? next.bytes : 1;
    if (put > max_bytes - clean.size()) break;
    if (good) {
      clean += text.substr(0, next.bytes);
    } else {
      clean += '?';
    }
    text.remove_prefix(next.bytes > 0 ? next.bytes : 1);
  }
  return clean;
}

}  // namespace

std::string Utf8(std::string_view text, size_t max_bytes) {
  return Clean(text, max_bytes, [](uint32_t) { return false; });
}

std::string Printable(std::string_view text, size_t max_bytes, std::string_view kept) {
  return Clean(text, max_bytes, [kept](uint32_t point) {
    return DrivesATerminal(point) && (point > 0x7f || !kept.contains(static_cast<char>(point)));
  });
}

}  // namespace berth
