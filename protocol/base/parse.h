// SPDX-License-Identifier: Apache-2.0
//
// Pieces of text that another side wrote: fields, numbers, and what the kernel escapes. Pure.
#ifndef BERTH_PROTOCOL_BASE_PARSE_H_
#define BERTH_PROTOCOL_BASE_PARSE_H_

#include <charconv>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>

namespace berth {

// The text up to `separator`, or all of it; `rest` loses both.
inline std::string_view Cut(std::string_view& rest, char separator) {
  const size_t end = rest.find(separator);
  const std::string_view head = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return head;
}

// `text` as a decimal number, all of it; nullopt: it is none, or does not fit.
template <std::integral T>
std::optional<T> WholeNumber(std::string_view text) {
  T value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// A field of /proc/self/mounts or mountinfo, which write a blank, tab, newline or backslash as
// "\ooo" (proc_pid_mountinfo(5)).
std::string UnescapeMountField(std::string_view field);

}  // namespace berth

#endif  // BERTH_PROTOCOL_BASE_PARSE_H_
