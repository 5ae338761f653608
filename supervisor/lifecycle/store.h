// SPDX-License-Identifier: Apache-2.0
//
// Store: where specs, states and the event log are kept. One Commit is one step forward: the event
// and the state that comes of it together, before anyone is told of either.
#ifndef BERTH_SUPERVISOR_LIFECYCLE_STORE_H_
#define BERTH_SUPERVISOR_LIFECYCLE_STORE_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/result.h"
#include "supervisor/hypervisor/vm_spec.h"
#include "supervisor/lifecycle/state.h"

namespace berth::lifecycle {

inline constexpr size_t kMaxRing = 32;            // transitions kept per VM
inline constexpr size_t kMaxWhyBytes = 4 * 1024;  // longer texts are cut

struct Transition {
  uint64_t seq = 0;  // of its event in the log
  State from{};
  Event event{};
  State to{};
  std::string why;
  int64_t realtime_ns = 0;
  int64_t monotonic_ns = 0;
};

enum class EntryKind : uint8_t {
  kCreated,
  kTransition,
  kStep,     // something was tried on the way: "asked the guest to power off"
  kAgent,    // the agent was lost, or found again
  kExec,     // somebody was handed a session
  kCopy,     // somebody was handed a copy of files
  kForward,  // somebody was handed connections to a port or socket of the guest
  kService,  // somebody gave a service of the guest an order
  kGuest,    // the guest says something of itself
  kHealth,   // the verdict of a check is another
  kClock,    // the guest's clock was off
  kRemoved,
};
std::string_view Name(EntryKind kind);

struct Entry {
  uint64_t seq = 0;  // given by the store; rises by one
  int64_t realtime_ns = 0;
  int64_t monotonic_ns = 0;
  std::string vm = {};
  EntryKind kind{};
  std::optional<Transition> transition = {};  // kTransition
  std::string why = {};
  std::optional<uint64_t> count = {};  // how often it has happened, where that matters
};

struct StoredVm {
  VmSpec spec;
  State state = State::kPending;
  int64_t created_realtime_ns = 0;
  std::deque<Transition> ring;  // newest last, at most kMaxRing
};

struct Page {
  std::vector<Entry> entries;
  uint64_t next = 0;  // the cursor that goes on behind `entries`
  uint64_t lost = 0;  // entries behind the cursor asked with that are gone for good
};

class Store {
 public:
  virtual ~Store() = default;

  // Appends `entry` and returns its number. `vm`: the VM's new record (its ring's newest transition
  // gets the number too), nullptr where only the log grows. kRemoved removes the VM's record.
  virtual Result<uint64_t> Commit(Entry entry, const StoredVm* vm) = 0;

  // Entries with numbers above `after`, oldest first, at most `limit`.
  virtual Result<Page> ReadEntries(uint64_t after, size_t limit) const = 0;
  virtual uint64_t newest() const = 0;

  // Names this log: a cursor of another log means nothing in this one.
  virtual const std::string& log_id() const = 0;

  virtual Result<std::vector<StoredVm>> LoadVms() const = 0;
};

}  // namespace berth::lifecycle

#endif  // BERTH_SUPERVISOR_LIFECYCLE_STORE_H_
