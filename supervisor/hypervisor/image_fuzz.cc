// SPDX-License-Identifier: Apache-2.0
//
// An image.json, which may come with an image from anywhere. No file it names is looked at.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "supervisor/hypervisor/image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto image = berth::ParseImage(text, "/images/fuzz");
  if (image && image->kernel.empty()) std::abort();
  return 0;
}
