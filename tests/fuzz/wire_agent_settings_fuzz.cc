// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as the file in which PID 1 tells the agent its settings: what passes keeps its bounds,
// and comes back as it was.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "protocol/base/agent_settings.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto settings = berth::DecodeAgentSettings(bytes);
  if (!settings) return 0;
  if (settings->checks.size() > berth::kMaxHealthChecks) std::abort();
  for (const auto& check : settings->checks) {
    if (!berth::Validate(check)) std::abort();
  }
  const auto again = berth::DecodeAgentSettings(berth::EncodeAgentSettings(*settings));
  if (!again || *again != *settings) std::abort();
  return 0;
}
