// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a record of the kernel's log: what comes of it keeps its bounds, and can be sent.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/oom_watch.h"
#include "protocol/wire/limits.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto kill =
      berth::agent::ParseOomRecord(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!kill) return 0;
  if (kill->process().size() > berth::wire::kMaxStatsTextBytes ||
      kill->cgroup().size() > berth::wire::kMaxStatsTextBytes) {
    std::abort();
  }
  // Text that is no UTF-8 fails its receiver.
  berth::v1::OomKill again;
  if (!again.ParseFromString(kill->SerializeAsString())) std::abort();
  return 0;
}
