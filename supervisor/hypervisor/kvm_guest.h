// SPDX-License-Identifier: Apache-2.0
//
// The guest of the KVM probe: one vCPU, 64 KiB of memory, a loop in 64-bit long mode. Runs in a
// forked child of a program that may have threads, so it is async-signal-safe: system calls only.
#ifndef BERTH_SUPERVISOR_HYPERVISOR_KVM_GUEST_H_
#define BERTH_SUPERVISOR_HYPERVISOR_KVM_GUEST_H_

#include <cstdint>

namespace berth {

struct KvmGuestReport {
  char step[32] = "";  // the step that failed; empty: the guest ran to its end
  int errnum = 0;
  bool result_right = false;
  uint64_t instructions = 0;  // of one run
  int64_t best_run_ns = 0;    // of several runs: the others may have been preempted
};

KvmGuestReport RunKvmGuest(const char* device);

// Instructions of one run.
uint64_t KvmGuestInstructions();

}  // namespace berth

#endif  // BERTH_SUPERVISOR_HYPERVISOR_KVM_GUEST_H_
