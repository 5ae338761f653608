// SPDX-License-Identifier: Apache-2.0
//
// Fault: why something asked of a VM could not be done, and of which kind that is. The kind decides
// the code of the API's error and the exit code of the CLI; the rest is an Error whose step may
// come from another process (a shim, a guest), so it is a string here. A value; any thread.
#ifndef BERTH_SUPERVISOR_LIFECYCLE_FAULT_H_
#define BERTH_SUPERVISOR_LIFECYCLE_FAULT_H_

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "protocol/base/result.h"

namespace berth::lifecycle {

enum class Kind : uint8_t {
  kFailed,            // none of those below
  kUnknownVm,         // no VM has that name
  kVmExists,          // one has
  kWrongState,        // the VM's state does not allow it
  kInvalidSpec,       // the spec contradicts itself or asks what cannot be had
  kBadImage,          // image, kernel or disk: not there, or not what it should be
  kNoResources,       // the host lacks disk space, memory, processes
  kStartFailed,       // the VM was launched and did not come up
  kTimedOut,          // a deadline passed
  kAgentUnreachable,  // the VM runs, its agent does not answer
  kNotPermitted,      // the host said EACCES or EPERM
  kLimit,             // a limit of this daemon
  kShuttingDown,      // the daemon is on its way out
};
inline constexpr size_t kKinds = 13;

struct [[nodiscard]] Fault {
  Kind kind = Kind::kFailed;
  std::string step;  // kebab-case
  int errnum = 0;
  std::string detail;
  std::string hint;

  // "boot: ETIMEDOUT (Connection timed out): detail; hint"
  std::string Message() const;
  friend bool operator==(const Fault&, const Fault&) = default;
};

template <typename T = void>
using Outcome = std::expected<T, Fault>;

// `kind` where the errno does not say more: EACCES and EPERM are kNotPermitted, ENOSPC, EDQUOT,
// ENOMEM, EMFILE and ENFILE kNoResources.
Fault ToFault(Kind kind, const Error& error);

inline std::unexpected<Fault> Refuse(Kind kind, std::string step, int errnum, std::string detail,
                                     std::string hint = {}) {
  return std::unexpected(Fault{kind, std::move(step), errnum, std::move(detail), std::move(hint)});
}

}  // namespace berth::lifecycle

#endif  // BERTH_SUPERVISOR_LIFECYCLE_FAULT_H_
