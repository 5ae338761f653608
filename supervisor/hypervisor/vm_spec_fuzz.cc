// SPDX-License-Identifier: Apache-2.0
//
// A VM's spec, as a client of the API sends it. What is valid must survive being written and read.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "supervisor/hypervisor/vm_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto spec = berth::ParseVmSpec(text);
  if (!spec) {
    if (spec.error().empty()) std::abort();
    return 0;
  }
  const auto again = berth::VmSpecFromJson(berth::ToJson(*spec));
  if (!again || *again != *spec) std::abort();
  return 0;
}
