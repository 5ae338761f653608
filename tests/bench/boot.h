// SPDX-License-Identifier: Apache-2.0
//
// Boot time: from the hypervisor's exec to the first byte that the guest sends to the host, without
// berthd in between.
#ifndef BERTH_TESTS_BENCH_BOOT_H_
#define BERTH_TESTS_BENCH_BOOT_H_

#include <string>

#include "supervisor/hypervisor/backend.h"

namespace berth::bench {

struct BootInputs {
  std::string bin_dir;   // berth-shim, berth-vsock
  std::string image;     // directory
  std::string work_dir;  // short: sockets go below it
  const HostFacts& host;
};

// Milliseconds of one boot of `inputs.image`. The VM is ended behind it.
double BootOnce(const BootInputs& inputs);

}  // namespace berth::bench

#endif  // BERTH_TESTS_BENCH_BOOT_H_
