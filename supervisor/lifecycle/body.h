// SPDX-License-Identifier: Apache-2.0
//
// Body: a VM's state together with what a VM in that state owns. The variant's index is the state,
// so a VM cannot be Running without an instance, nor keep one when it is Stopped.
#ifndef BERTH_SUPERVISOR_LIFECYCLE_BODY_H_
#define BERTH_SUPERVISOR_LIFECYCLE_BODY_H_

#include <memory>
#include <optional>
#include <variant>

#include "supervisor/lifecycle/instance.h"
#include "supervisor/lifecycle/state.h"

namespace berth::lifecycle {

// An Instance is shared with the coroutines that are asking it something: one that is let go of
// here lives until they have their answers.
using InstancePtr = std::shared_ptr<Instance>;

struct Pending {};
struct Provisioning {};
struct Configured {};
struct Starting {
  int attempt = 1;
  InstancePtr instance;  // null until Host::Launch has one
};
struct Running {
  InstancePtr instance;
};
struct Stopping {
  InstancePtr instance;  // null where the stop came before the launch had one
};
struct Stopped {
  std::string how;
  std::optional<shim::ExitRecord> exit;
  std::optional<GuestExit> guest_exit = {};  // where the guest told
};
struct StartFailed {
  Fault why;
};
struct Failed {
  Fault why;
  std::optional<shim::ExitRecord> exit;
  InstancePtr leftover;  // what could not be taken down, where that is why it failed
  std::optional<GuestExit> guest_exit = {};
};

using Body = std::variant<Pending, Provisioning, Configured, Starting, Running, Stopping, Stopped,
                          StartFailed, Failed>;

template <State state, typename T>
inline constexpr bool kBodyIs =
    std::is_same_v<std::variant_alternative_t<static_cast<size_t>(state), Body>, T>;
static_assert(std::variant_size_v<Body> == kStates);
static_assert(kBodyIs<State::kPending, Pending> && kBodyIs<State::kProvisioning, Provisioning> &&
              kBodyIs<State::kConfigured, Configured> && kBodyIs<State::kStarting, Starting> &&
              kBodyIs<State::kRunning, Running> && kBodyIs<State::kStopping, Stopping> &&
              kBodyIs<State::kStopped, Stopped> && kBodyIs<State::kStartFailed, StartFailed> &&
              kBodyIs<State::kFailed, Failed>);

inline State StateOf(const Body& body) { return static_cast<State>(body.index()); }

}  // namespace berth::lifecycle

#endif  // BERTH_SUPERVISOR_LIFECYCLE_BODY_H_
