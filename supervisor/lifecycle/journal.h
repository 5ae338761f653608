// SPDX-License-Identifier: Apache-2.0
//
// Journal: the one event log of all VMs. It records through the Store and then tells those who
// follow; readers go by cursor and can fall behind without holding anything up. One thread.
#ifndef BERTH_SUPERVISOR_LIFECYCLE_JOURNAL_H_
#define BERTH_SUPERVISOR_LIFECYCLE_JOURNAL_H_

#include <boost/asio/any_io_executor.hpp>
#include <string>
#include <string_view>

#include "supervisor/lifecycle/notifier.h"
#include "supervisor/lifecycle/store.h"

namespace berth::lifecycle {

class Journal {
 public:
  Journal(Store& store, boost::asio::any_io_executor executor)
      : store_(store), grown_(std::move(executor)) {}

  // Stamps `entry`, commits it, wakes the followers. Returns its number.
  Result<uint64_t> Record(Entry entry, const StoredVm* vm);

  Result<Page> Read(uint64_t after, size_t limit) const { return store_.ReadEntries(after, limit); }
  uint64_t newest() const { return store_.newest(); }
  Notifier& grown() { return grown_; }

  // A cursor as clients hold it: "<log id>-<number>". EINVAL: not one; ESTALE: of another log, for
  // example one that ended with an earlier daemon.
  std::string Cursor(uint64_t after) const;
  Result<uint64_t> ParseCursor(std::string_view cursor) const;

 private:
  Store& store_;
  Notifier grown_;
};

}  // namespace berth::lifecycle

#endif  // BERTH_SUPERVISOR_LIFECYCLE_JOURNAL_H_
