// SPDX-License-Identifier: Apache-2.0
//
// The boot timeline: when each thing happened, in milliseconds since the hypervisor was exec'd, on
// the host's clock. The guest counts from its kernel's start, which the host does not see: it is
// taken to be the moment its Ready arrived less the uptime that Ready was sent at, so the vsock's
// latency (well under a millisecond) counts as boot time. A value; any thread.
#ifndef BERTH_SUPERVISOR_LIFECYCLE_TIMELINE_H_
#define BERTH_SUPERVISOR_LIFECYCLE_TIMELINE_H_

#include <string>
#include <vector>

#include "supervisor/lifecycle/instance.h"

namespace berth::lifecycle {

struct Milestone {
  std::string name;
  double ms = 0;       // since the hypervisor was exec'd
  bool guest = false;  // by the guest's word
};

// "hypervisor exec", "kernel", "PID 1" (the first phase of the guest's), its other phases by their
// own names, "agent ready", "host saw Ready"; never one before its predecessor. Guest phases that
// claim to be later than its Ready are left out.
std::vector<Milestone> MakeTimeline(const Launched& launched, const GuestReady& ready);

}  // namespace berth::lifecycle

#endif  // BERTH_SUPERVISOR_LIFECYCLE_TIMELINE_H_
