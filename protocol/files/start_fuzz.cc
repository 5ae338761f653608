// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as the message that opens a copy in the guest, or as an entry: what passes the checks
// is within its bounds, and a path falls apart into parts that make it again.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "protocol/files/entry.h"
#include "protocol/wire/channel.h"
#include "protocol/wire/limits.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void RequireSingle(std::string_view name) {
  Require(!name.empty() && name.size() <= 255 && name != "." && name != "..");
  for (const char c : name) Require(c != '/' && c != '\0');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto split = berth::files::Split(text);
  Require(!split.directory.empty() || text.empty());
  if (!split.name.empty()) {
    Require(split.name.find('/') == std::string::npos && split.name != "." && split.name != "..");
    Require(text.find(split.name) != std::string_view::npos);
  }
  const auto message = berth::wire::DecodeMessage(std::as_bytes(std::span(data, size)));
  if (!message) return 0;
  if (message->has_copy_start() && berth::files::CheckCopyStart(message->copy_start())) {
    const auto& start = message->copy_start();
    Require(start.path().starts_with('/') && start.path().size() <= berth::wire::kMaxPathBytes);
    Require(start.path().find('\0') == std::string::npos);
    if (!start.name().empty()) RequireSingle(start.name());
  }
  for (const bool first : {false, true}) {
    if (!message->has_copy_entry()) break;
    const auto& entry = message->copy_entry();
    if (!berth::files::CheckCopyEntry(entry, first)) continue;
    Require(first == entry.name().empty());
    if (!first) RequireSingle(entry.name());
    Require(entry.mode() <= 07777 && entry.target().find('\0') == std::string::npos);
    Require(entry.target().size() <= berth::wire::kMaxCopyTargetBytes);
  }
  return 0;
}
