// SPDX-License-Identifier: Apache-2.0
//
// A launch.json, read by the shim. What is understood must survive being written and read.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "supervisor/hypervisor/launch_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto spec = berth::ParseLaunchSpec(text);
  if (!spec) return 0;
  const auto again = berth::ParseLaunchSpec(berth::ToJsonText(*spec));
  if (!again || *again != *spec) std::abort();
  return 0;
}
