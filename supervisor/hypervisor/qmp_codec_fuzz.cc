// SPDX-License-Identifier: Apache-2.0
//
// The monitor's bytes, as lines and as messages.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "supervisor/hypervisor/line_buffer.h"
#include "supervisor/hypervisor/qmp_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using berth::qmp::kMaxLineBytes;
  // The first byte says in what pieces the rest arrives.
  if (size == 0) return 0;
  const size_t piece = size_t{data[0]} + 1;
  std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  berth::LineBuffer lines(kMaxLineBytes);
  while (!bytes.empty()) {
    lines.Append(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    while (const auto line = lines.Next()) {
      if (line->size() > kMaxLineBytes) std::abort();
      const auto message = berth::qmp::ParseMessage(*line);
      if (!message) continue;
      if (const auto* event = std::get_if<berth::qmp::Event>(&*message)) {
        event->Text("reason");
        event->Flag("guest");
      }
    }
  }
  return 0;
}
