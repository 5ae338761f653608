// SPDX-License-Identifier: Apache-2.0
//
// modules.dep, modules.builtin and modules.load, parted by null bytes, as an image may hold them.
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>

#include "init/modules.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using berth::init::ModuleIndex;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const auto take = [&rest] {
    const size_t end = std::min(rest.find('\0'), rest.size());
    const std::string_view part = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return part;
  };
  const auto index = ModuleIndex::Parse(std::string(take()), take());
  const auto rows = berth::init::ParseModulesLoad(take());
  if (!index || !rows) return 0;
  for (const auto& row : *rows) {
    const auto order = index->LoadOrder(row.name);
    if (!order) continue;
    const std::set<std::string> once(order->begin(), order->end());
    if (once.size() != order->size()) std::abort();
  }
  return 0;
}
