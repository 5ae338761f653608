// SPDX-License-Identifier: Apache-2.0
//
// Boot time: from the hypervisor's exec to the first byte that the guest sends to the host, without
// berthd in between.
#ifndef BERTH_TESTS_BENCH_BOOT_H_
#define BERTH_TESTS_BENCH_BOOT_H_

#include <cstdint>
#include <string>

#include "supervisor/hypervisor/backend.h"

namespace berth::bench {

// Where berth-agent says Ready, as VmPaths::ReadySocket() has it.
inline constexpr uint32_t kBellPort = 1022;

struct BootInputs {
  std::string bin_dir;   // berth-shim, berth-vsock
  std::string image;     // directory
  std::string work_dir;  // short: sockets go below it
  const HostFacts& host;
  // Where the guest's first byte is awaited: the agent's bell, or a port that a service dials.
  uint32_t ready_port = kBellPort;
};

// Milliseconds of one boot of `inputs.image`. The VM is ended behind it.
double BootOnce(const BootInputs& inputs);

}  // namespace berth::bench

#endif  // BERTH_TESTS_BENCH_BOOT_H_
