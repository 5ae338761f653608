// SPDX-License-Identifier: Apache-2.0
//
// Vm: one VM: its spec, its body, its last transitions, and what has been asked of it. Owned by the
// Fleet; shared with the coroutine that drives it. One thread.
#ifndef BERTH_SUPERVISOR_LIFECYCLE_VM_H_
#define BERTH_SUPERVISOR_LIFECYCLE_VM_H_

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/lifecycle/body.h"
#include "supervisor/lifecycle/journal.h"
#include "supervisor/lifecycle/notifier.h"
#include "supervisor/lifecycle/timeline.h"

namespace berth::lifecycle {

// What was asked of a VM that is up or coming up. A later request may only be harsher.
struct StopRequest {
  std::chrono::milliseconds grace{0};
  bool kill = false;
  std::string why;  // "asked by uid 0"
};

class Vm {
 public:
  Vm(VmSpec spec, Journal& journal, boost::asio::any_io_executor executor);
  Vm(const Vm&) = delete;
  Vm& operator=(const Vm&) = delete;

  const VmSpec& spec() const { return spec_; }
  const std::string& name() const { return spec_.name; }
  const Body& body() const { return body_; }
  Body& body() { return body_; }
  State state() const { return StateOf(body_); }
  const std::deque<Transition>& ring() const { return ring_; }
  int64_t created_realtime_ns() const { return created_realtime_ns_; }

  // The instance of a state that has one, or nullptr.
  InstancePtr instance() const;

  // Records the VM's creation.
  Result<> Created(const std::string& why);

  // Moves to `next` by `event`. The table decides whether that may be; the transition is recorded;
  // then the old body's resources go and everyone is told. On failure nothing has changed.
  Result<> Apply(Event event, Body next, std::string why);

  // An entry of the log that is no transition. That it could not be kept is logged, no more:
  // nothing depends on it.
  void Note(EntryKind kind, std::string why, std::optional<uint64_t> count = std::nullopt);

  // Wakes whoever waits for this VM; called at every change of state, instance or request.
  Notifier& changed() { return changed_; }

  std::optional<StopRequest> stop_request;
  // True from the acceptance of a start until no process is left: one coroutine owns all of that.
  bool driven = false;
  // What the latest start came to; empty while it is on its way.
  std::optional<Outcome<>> start_result;
  std::vector<Milestone> timeline;  // of the latest boot that came to Running
  int boot_attempts = 0;            // of the latest start
  int service_calls = 0;            // on their way to its guest
  int stats_calls = 0;              // the same
  std::string accelerator;          // of the latest launch

 private:
  VmSpec spec_;
  Body body_;
  Journal& journal_;
  Notifier changed_;
  std::deque<Transition> ring_;
  int64_t created_realtime_ns_ = 0;
};

using VmPtr = std::shared_ptr<Vm>;

}  // namespace berth::lifecycle

#endif  // BERTH_SUPERVISOR_LIFECYCLE_VM_H_
