// SPDX-License-Identifier: Apache-2.0
//
// Whether KVM is worth using here, found by trying it.
//
// A /dev/kvm that opens says little: nested under an emulator it may run guests a thousand times
// too slowly for any kernel to boot. The probe makes a VM with one vCPU, runs some ten thousand
// instructions in 64-bit long mode, checks what they computed and how long they took.
#ifndef BERTH_SUPERVISOR_HYPERVISOR_KVM_PROBE_H_
#define BERTH_SUPERVISOR_HYPERVISOR_KVM_PROBE_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "supervisor/hypervisor/vm_spec.h"

namespace berth {

enum class KvmState {
  kUsable,
  kAbsent,     // no /dev/kvm, or no driver behind it
  kForbidden,  // it is there and this user may not open it
  kTooSlow,    // it computes rightly, but emulated
  kBroken,     // a step failed or the result was wrong
};

std::string_view Name(KvmState state);

struct KvmProbe {
  KvmState state = KvmState::kAbsent;
  uint64_t instructions = 0;  // run in the guest; 0 where it did not get so far
  std::chrono::nanoseconds run_time{0};
  std::string text;  // one line for a person: what was found, with the numbers
  std::string hint;  // what to do about it; empty where kUsable
};

// A guest slower than this per instruction is emulated: real KVM stays under 10 ns even when it
// pays for the first page faults.
inline constexpr std::chrono::nanoseconds kKvmMaxPerInstruction{100};
inline constexpr std::chrono::milliseconds kKvmProbeTimeout{1'500};

// Blocks for at most about `timeout`. Cache the answer: it changes only with the host.
KvmProbe ProbeKvm(std::chrono::milliseconds timeout, const char* device = "/dev/kvm");

struct AccelChoice {
  Accel accel = Accel::kTcg;  // never kAuto
  std::string reason;         // "asked for", or what the probe said
};

// What `asked` comes to on this host. kKvm where the probe says anything but kUsable is an error
// (step "accel"); kAuto falls back to TCG.
Result<AccelChoice> ChooseAccel(Accel asked, const KvmProbe& probe);

}  // namespace berth

#endif  // BERTH_SUPERVISOR_HYPERVISOR_KVM_PROBE_H_
