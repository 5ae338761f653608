// SPDX-License-Identifier: Apache-2.0
//
// Doctor: what a host needs to run VMs, each point checked by trying it, with how to mend it. Used
// by `berth doctor`, with and without a daemon. Blocks (it probes KVM and starts the hypervisor
// with
// --version); any thread.
#ifndef BERTH_SUPERVISOR_DAEMON_DOCTOR_H_
#define BERTH_SUPERVISOR_DAEMON_DOCTOR_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.h"

namespace berth::daemon {

enum class Verdict : uint8_t { kOk, kWarning, kFailed };
std::string_view Name(Verdict verdict);

struct Check {
  std::string name;  // "kvm"
  Verdict verdict = Verdict::kOk;
  std::string found;
  std::string mend;  // empty where there is nothing to mend
};

struct DoctorInputs {
  std::string state_dir;  // may not exist yet
  std::string socket;
  std::string libexec_dir;  // where berth-shim and berth-vsock stand
};

std::vector<Check> Examine(const DoctorInputs& inputs, Deadline deadline);

// The worst of them.
Verdict Worst(const std::vector<Check>& checks);

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_DOCTOR_H_
