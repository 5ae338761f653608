// SPDX-License-Identifier: Apache-2.0
#include "supervisor/lifecycle/state.h"

namespace berth::lifecycle {

std::optional<State> StateNamed(std::string_view name) {
  for (const StateInfo& info : kStateInfo) {
    if (info.name == name) return info.state;
  }
  return std::nullopt;
}

Result<State> Advance(State from, Event event) {
  if (const auto next = Next(from, event)) return *next;
  return Fail("transition", EPROTO,
              std::string(Name(from)) + " has no edge for '" + std::string(Name(event)) + "'");
}

}  // namespace berth::lifecycle
