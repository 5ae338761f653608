// SPDX-License-Identifier: Apache-2.0
#include "supervisor/lifecycle/memory_store.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>

namespace berth::lifecycle {
namespace {

size_t Bytes(const Entry& entry) {
  return sizeof(Entry) + entry.vm.size() + entry.why.size() +
         (entry.transition ? entry.transition->why.size() : 0);
}

std::string RandomId() {
  uint32_t id = 0;
  // Four bytes are never short; without entropy at boot the clock must do.
  if (getrandom(&id, sizeof(id), 0) != sizeof(id)) id = static_cast<uint32_t>(time(nullptr));
  return fmt::format("{:08x}", id);
}

}  // namespace

std::string_view Name(EntryKind kind) {
  switch (kind) {
    case EntryKind::kCreated:
      return "created";
    case EntryKind::kTransition:
      return "transition";
    case EntryKind::kStep:
      return "step";
    case EntryKind::kAgent:
      return "agent";
    case EntryKind::kExec:
      return "exec";
    case EntryKind::kCopy:
      return "copy";
    case EntryKind::kForward:
      return "forward";
    case EntryKind::kService:
      return "service";
    case EntryKind::kGuest:
      return "guest";
    case EntryKind::kHealth:
      return "health";
    case EntryKind::kClock:
      return "clock";
    case EntryKind::kRemoved:
      return "removed";
  }
  return "unknown";
}

MemoryStore::MemoryStore(size_t max_entries, size_t max_bytes)
    : max_entries_(max_entries), max_bytes_(max_bytes), log_id_(RandomId()) {}

Result<uint64_t> MemoryStore::Commit(Entry entry, const StoredVm* vm) {
  entry.seq = ++newest_;
  if (entry.transition) entry.transition->seq = entry.seq;
  if (vm != nullptr) {
    StoredVm& stored = vms_[entry.vm] = *vm;
    if (entry.transition && !stored.ring.empty()) stored.ring.back().seq = entry.seq;
  }
  if (entry.kind == EntryKind::kRemoved) vms_.erase(entry.vm);
  log_bytes_ += Bytes(entry);
  log_.push_back(std::move(entry));
  while (log_.size() > max_entries_ || (log_bytes_ > max_bytes_ && log_.size() > 1)) {
    log_bytes_ -= Bytes(log_.front());
    log_.pop_front();
  }
  return newest_;
}

Result<Page> MemoryStore::ReadEntries(uint64_t after, size_t limit) const {
  Page page;
  page.next = std::min(after, newest_);
  if (log_.empty()) return page;
  const uint64_t oldest = log_.front().seq;
  if (after + 1 < oldest) page.lost = oldest - after - 1;
  const uint64_t first = std::max(after + 1, oldest);
  for (uint64_t seq = first; seq <= newest_ && page.entries.size() < limit; ++seq) {
    page.entries.push_back(log_[seq - oldest]);
    page.next = seq;
  }
  return page;
}

Result<std::vector<StoredVm>> MemoryStore::LoadVms() const {
  std::vector<StoredVm> all;
  for (const auto& [name, vm] : vms_) all.push_back(vm);
  return all;
}

}  // namespace berth::lifecycle
