// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel_message.h"

#include <algorithm>
#include <charconv>

namespace berth::agent {
namespace {

// A number with a comma behind it; takes both off.
std::optional<uint64_t> TakeNumber(std::string_view& text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto used = static_cast<size_t>(end - text.data());
  if (error != std::errc() || used == text.size() || text[used] != ',') return std::nullopt;
  text.remove_prefix(used + 1);
  return value;
}

}  // namespace

std::optional<KernelMessage> ParseKernelMessage(std::string_view record) {
  const size_t semicolon = record.find(';');
  if (semicolon == std::string_view::npos) return std::nullopt;
  std::string_view prefix = record.substr(0, semicolon);
  const auto priority = TakeNumber(prefix);
  const auto seq = TakeNumber(prefix);
  const auto time = TakeNumber(prefix);
  if (!priority || !seq || !time) return std::nullopt;
  std::string_view text = record.substr(semicolon + 1);
  text = text.substr(0, std::min(text.find('\n'), text.size()));
  // The facility stands above the level's three bits; the kernel's is 0.
  return KernelMessage{*priority <= 7, static_cast<uint8_t>(*priority & 7), *seq, *time, text};
}

}  // namespace berth::agent
