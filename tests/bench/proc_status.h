// SPDX-License-Identifier: Apache-2.0
//
// Memory as /proc/PID/status has it.
#ifndef BERTH_TESTS_BENCH_PROC_STATUS_H_
#define BERTH_TESTS_BENCH_PROC_STATUS_H_

#include <cstdlib>
#include <initializer_list>
#include <string>
#include <string_view>

#include "tests/bench/vsock_client.h"

namespace berth::bench {

inline double SumMib(const std::string& status, std::initializer_list<std::string_view> fields) {
  double kib = 0;
  for (const std::string_view field : fields) {
    const size_t at = status.find(field);
    if (at == std::string::npos) Die("no " + std::string(field) + " in /proc/PID/status");
    kib += std::strtod(status.c_str() + at + field.size(), nullptr);
  }
  return kib / 1024;
}

// With shared memory: pages of a program that runs from an initramfs count as such.
inline double GuestRssMib(const std::string& status) { return SumMib(status, {"VmRSS:"}); }

}  // namespace berth::bench

#endif  // BERTH_TESTS_BENCH_PROC_STATUS_H_
