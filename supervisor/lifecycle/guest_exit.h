// SPDX-License-Identifier: Apache-2.0
//
// GuestExit: why the guest's PID 1 took the machine down, by its own word (GoingDown in
// docs/protocol.md). A claim: it explains how a VM ended, in place of what stands on its console. A
// value; any thread.
#ifndef BERTH_SUPERVISOR_LIFECYCLE_GUEST_EXIT_H_
#define BERTH_SUPERVISOR_LIFECYCLE_GUEST_EXIT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/proto/berth.pb.h"

namespace berth::lifecycle {

struct GuestExit {
  enum class Mode : uint8_t { kPowerOff, kReboot, kHalt };
  enum class Cause : uint8_t { kHost, kMain, kSignal, kCrashLoop };
  Mode mode{};
  Cause cause{};
  std::string name;              // the service, or with kSignal the signal; printable
  std::optional<uint32_t> code;  // of the main service, 0 to 255
  std::optional<uint32_t> signal;

  friend bool operator==(const GuestExit&, const GuestExit&) = default;
};

std::string_view Name(GuestExit::Mode mode);    // "power-off"
std::string_view Name(GuestExit::Cause cause);  // "crash-loop"

// Nullopt where it makes no sense: an unknown mode or cause, an impossible code.
std::optional<GuestExit> FromClaim(const v1::GuestEvent::GoingDown& down);

// "its main service web ended with exit code 3".
std::string Explain(const GuestExit& exit);

}  // namespace berth::lifecycle

#endif  // BERTH_SUPERVISOR_LIFECYCLE_GUEST_EXIT_H_
