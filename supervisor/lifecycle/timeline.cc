// SPDX-License-Identifier: Apache-2.0
#include "supervisor/lifecycle/timeline.h"

#include <algorithm>
#include <utility>

namespace berth::lifecycle {

std::vector<Milestone> MakeTimeline(const Launched& launched, const GuestReady& ready) {
  const double seen_ms =
      static_cast<double>(ready.received_monotonic_ns - launched.exec_monotonic_ns) / 1e6;
  // The clocks of an emulated guest and its host drift apart by some parts in a thousand.
  const double kernel_ms = std::max(0.0, seen_ms - static_cast<double>(ready.sent_guest_us) / 1e3);
  std::vector<Milestone> timeline;
  timeline.push_back({"hypervisor exec", 0, false});
  timeline.push_back({"kernel", kernel_ms, true});
  bool first = true;
  for (const BootPhase& phase : ready.phases) {
    if (phase.guest_us < 0 || phase.guest_us > ready.sent_guest_us) continue;
    const double ms = kernel_ms + static_cast<double>(phase.guest_us) / 1e3;
    timeline.push_back({std::exchange(first, false) ? "PID 1" : phase.name,
                        std::clamp(ms, timeline.back().ms, std::max(timeline.back().ms, seen_ms)),
                        true});
  }
  timeline.push_back({"agent ready", seen_ms, true});
  timeline.push_back({"host saw Ready", seen_ms, false});
  return timeline;
}

}  // namespace berth::lifecycle
