// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/tsc.h"

#include <time.h>

namespace berth {

#ifdef __x86_64__
namespace {

struct Sample {
  uint64_t tsc = 0;
  int64_t ns = 0;
};

int64_t RawNs() {
  timespec ts{};
  clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
  return int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec;
}

// The clock read between two TSC reads; the closest of several pairs, in case of preemption.
Sample Take() {
  constexpr int kTries = 16;
  Sample best;
  uint64_t best_gap = UINT64_MAX;
  for (int i = 0; i < kTries; ++i) {
    const uint64_t before = __builtin_ia32_rdtsc();
    const int64_t ns = RawNs();
    const uint64_t gap = __builtin_ia32_rdtsc() - before;
    if (gap < best_gap) {
      best_gap = gap;
      best = {before + gap / 2, ns};
    }
  }
  return best;
}

}  // namespace

uint64_t MeasureTscKhz() {
  constexpr timespec kWait = {.tv_sec = 0, .tv_nsec = 20'000'000};
  const Sample begin = Take();
  nanosleep(&kWait, nullptr);
  const Sample end = Take();
  const int64_t ns = end.ns - begin.ns;
  if (ns <= 0 || end.tsc <= begin.tsc) return 0;
  return static_cast<uint64_t>(static_cast<double>(end.tsc - begin.tsc) * 1e6 /
                               static_cast<double>(ns));
}
#else
uint64_t MeasureTscKhz() { return 0; }
#endif

}  // namespace berth
