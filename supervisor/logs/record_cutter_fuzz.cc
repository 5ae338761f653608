// SPDX-License-Identifier: Apache-2.0
//
// A guest's log stream. The first byte says in what pieces it arrives; however that is, the same
// records come of it, and whatever is let through keeps the bounds that the store relies on.
#include <cstdint>
#include <cstdlib>

#include "supervisor/logs/record_cutter.h"

namespace {

using berth::logs::RecordCutter;

struct Outcome {
  bool good = true;
  std::string records;
};

Outcome Cut(std::span<const std::byte> bytes, size_t piece) {
  RecordCutter cutter(0, {});
  Outcome outcome;
  while (!bytes.empty() && outcome.good) {
    const auto part = bytes.first(std::min(piece, bytes.size()));
    outcome.good = cutter.Take(part, outcome.records).has_value();
    bytes = bytes.subspan(part.size());
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
  const Outcome whole = Cut(bytes, bytes.size() + 1);
  const Outcome pieces = Cut(bytes, size_t{data[0]} + 1);
  if (whole.good != pieces.good || whole.records != pieces.records) std::abort();

  uint64_t last = 0;
  berth::logs::Sources sources;
  std::string_view rest = whole.records;
  while (!rest.empty()) {
    const auto record = berth::logs::TakeRecord(rest);
    if (!record) std::abort();
    if (record->IsSource()) {
      if (!sources.emplace(record->header.source, record->text).second) std::abort();
      continue;
    }
    if (record->header.seq != last + 1) std::abort();
    last = record->header.seq;
    if (record->IsGap()) {
      last = berth::logs::GapOf(*record).value().to;
    } else if (!sources.contains(record->header.source)) {
      std::abort();
    }
  }
  return 0;
}
