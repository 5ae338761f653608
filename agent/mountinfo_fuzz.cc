// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as /proc/self/mountinfo: what is to be frozen is a path, and each device stands once.
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string_view>

#include "agent/mountinfo.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto rows =
      berth::agent::ParseMountinfo(std::string_view(reinterpret_cast<const char*>(data), size));
  std::set<std::string> devices;
  for (const auto& row : berth::agent::BlockMounts(rows)) {
    if (!row.path.starts_with('/') || !devices.insert(row.source).second) std::abort();
  }
  devices.clear();
  for (const auto& row : berth::agent::PlanFreeze(rows).freeze) {
    if (!row.path.starts_with('/') || row.path.find('\0') != std::string::npos) std::abort();
    if (row.read_only || !devices.insert(row.device).second) std::abort();
  }
  return 0;
}
