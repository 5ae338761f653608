// SPDX-License-Identifier: Apache-2.0
//
// MemoryStore: a Store that lives and dies with its process. What it recorded is gone with berthd.
// One thread.
#ifndef BERTH_SUPERVISOR_LIFECYCLE_MEMORY_STORE_H_
#define BERTH_SUPERVISOR_LIFECYCLE_MEMORY_STORE_H_

#include <map>

#include "supervisor/lifecycle/store.h"

namespace berth::lifecycle {

inline constexpr size_t kMaxLogEntries = 10'000;
inline constexpr size_t kMaxLogBytes = 8 * 1024 * 1024;

class MemoryStore : public Store {
 public:
  explicit MemoryStore(size_t max_entries = kMaxLogEntries, size_t max_bytes = kMaxLogBytes);

  Result<uint64_t> Commit(Entry entry, const StoredVm* vm) override;
  Result<Page> ReadEntries(uint64_t after, size_t limit) const override;
  uint64_t newest() const override { return newest_; }
  const std::string& log_id() const override { return log_id_; }
  Result<std::vector<StoredVm>> LoadVms() const override;

 private:
  size_t max_entries_;
  size_t max_bytes_;
  std::string log_id_;
  std::deque<Entry> log_;
  size_t log_bytes_ = 0;
  uint64_t newest_ = 0;
  std::map<std::string, StoredVm> vms_;
};

}  // namespace berth::lifecycle

#endif  // BERTH_SUPERVISOR_LIFECYCLE_MEMORY_STORE_H_
