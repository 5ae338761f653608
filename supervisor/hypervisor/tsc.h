// SPDX-License-Identifier: Apache-2.0
//
// The host's TSC frequency. QEMU's TCG gives the guest the host's TSC, and a microvm that has to
// calibrate it against an emulated timer sometimes hangs at boot; a guest that is told does not.
#ifndef BERTH_SUPERVISOR_HYPERVISOR_TSC_H_
#define BERTH_SUPERVISOR_HYPERVISOR_TSC_H_

#include <cstdint>

namespace berth {

// kHz, measured for 20 ms against CLOCK_MONOTONIC_RAW; 0 where there is no TSC. Not read from
// /proc/cpuinfo, whose MHz is the core's clock of the moment.
uint64_t MeasureTscKhz();

}  // namespace berth

#endif  // BERTH_SUPERVISOR_HYPERVISOR_TSC_H_
