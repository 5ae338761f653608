// SPDX-License-Identifier: Apache-2.0
//
// Lines of shim.sock, in both directions. What is understood must survive being sent on.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "supervisor/shim/control_protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  [[maybe_unused]] const auto request = berth::shim::ParseRequest(line);
  const auto event = berth::shim::ParseEvent(line);
  if (!event) return 0;
  std::string again = berth::shim::Encode(*event);
  again.pop_back();
  const auto same = berth::shim::ParseEvent(again);
  if (!same || *same != *event) std::abort();
  return 0;
}
