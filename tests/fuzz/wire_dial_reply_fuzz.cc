// SPDX-License-Identifier: Apache-2.0
//
// Any line as the vsock device's answer to CONNECT.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "supervisor/guest/dial.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  if (berth::guest::CheckReply(line) &&
      (!line.starts_with("OK ") || !line.ends_with('\n') || line.find('\n') != size - 1)) {
    std::abort();
  }
  return 0;
}
