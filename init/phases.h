// SPDX-License-Identifier: Apache-2.0
//
// The boot timeline: what PID 1 did when, in nanoseconds since the kernel started. It is told to
// the agent at each of its starts, which tells the host.
#ifndef BERTH_INIT_PHASES_H_
#define BERTH_INIT_PHASES_H_

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "protocol/base/clock.h"

namespace berth::init {

struct Phase {
  const char* name;
  int64_t monotonic_ns;  // when it began
};

class BootPhases {
 public:
  static constexpr size_t kMax = 16;

  void Begin(const char* name) {
    if (count_ < kMax) phases_[count_++] = {name, MonotonicNs()};
  }
  // "pid1 343100, modules 343400": microseconds since the kernel started.
  std::string Text() const {
    std::string text;
    for (const Phase& phase : all()) {
      if (!text.empty()) text += ", ";
      text += phase.name;
      text += " " + std::to_string(phase.monotonic_ns / 1000);
    }
    return text;
  }
  std::span<const Phase> all() const { return {phases_.data(), count_}; }

 private:
  std::array<Phase, kMax> phases_{};
  size_t count_ = 0;
};

}  // namespace berth::init

#endif  // BERTH_INIT_PHASES_H_
