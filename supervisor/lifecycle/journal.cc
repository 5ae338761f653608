// SPDX-License-Identifier: Apache-2.0
#include "supervisor/lifecycle/journal.h"

#include <charconv>

#include "protocol/base/clock.h"

namespace berth::lifecycle {

Result<uint64_t> Journal::Record(Entry entry, const StoredVm* vm) {
  entry.realtime_ns = entry.transition ? entry.transition->realtime_ns : RealtimeNs();
  entry.monotonic_ns = entry.transition ? entry.transition->monotonic_ns : MonotonicNs();
  auto seq = store_.Commit(std::move(entry), vm);
  if (seq) grown_.NotifyAll();
  return seq;
}

std::string Journal::Cursor(uint64_t after) const {
  return store_.log_id() + "-" + std::to_string(after);
}

Result<uint64_t> Journal::ParseCursor(std::string_view cursor) const {
  const size_t dash = cursor.rfind('-');
  uint64_t after = 0;
  const char* const end = cursor.data() + cursor.size();
  const auto parsed = std::from_chars(
      cursor.data() + (dash == std::string_view::npos ? cursor.size() : dash + 1), end, after);
  if (parsed.ec != std::errc() || parsed.ptr != end) {
    return Fail("cursor", EINVAL, "not a cursor of events.tail");
  }
  if (cursor.substr(0, dash) != store_.log_id()) {
    return Fail("cursor", ESTALE, "the cursor belongs to the log of an earlier daemon",
                "start again without a cursor");
  }
  if (after > store_.newest()) {
    return Fail("cursor", EINVAL, "the cursor is ahead of the log");
  }
  return after;
}

}  // namespace berth::lifecycle
