// SPDX-License-Identifier: Apache-2.0
//
// The priority in front of a line, as sd-daemon(3), syslog(3) and the kernel write it: "<30>".
#ifndef BERTH_AGENT_LOG_LEVEL_H_
#define BERTH_AGENT_LOG_LEVEL_H_

#include <cstdint>
#include <string_view>

namespace berth::agent {

inline constexpr uint8_t kDefaultLogLevel = 6;

// Cuts it off `text` and returns its level; kDefaultLogLevel where there is none. What is larger
// than a facility and a level can be (191) is text.
inline uint8_t TakeLevelPrefix(std::string_view& text) {
  if (text.size() < 3 || text[0] != '<') return kDefaultLogLevel;
  unsigned value = 0;
  size_t at = 1;
  for (; at < text.size() && at <= 3 && text[at] >= '0' && text[at] <= '9'; ++at) {
    value = value * 10 + static_cast<unsigned>(text[at] - '0');
  }
  constexpr unsigned kMaxPriority = 191;
  if (at == 1 || at == text.size() || text[at] != '>' || value > kMaxPriority) {
    return kDefaultLogLevel;
  }
  text.remove_prefix(at + 1);
  return static_cast<uint8_t>(value & 7);
}

}  // namespace berth::agent

#endif  // BERTH_AGENT_LOG_LEVEL_H_
