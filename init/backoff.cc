// SPDX-License-Identifier: Apache-2.0
#include "init/backoff.h"

#include <algorithm>
#include <cstdint>

namespace berth::init {

std::chrono::milliseconds Backoff::Ended(std::chrono::nanoseconds lived, double random) {
  using std::chrono::milliseconds;
  if (lived >= policy_.stable_after) {
    was_stable_ = true;
    short_lives_ = 0;
    return milliseconds(0);
  }
  ++short_lives_;
  // The first death may be a stray kill: whoever waits for the service should not feel it.
  if (short_lives_ == 1) return milliseconds(0);
  milliseconds wait = policy_.first;
  for (int i = 2; i < short_lives_ && wait < policy_.longest; ++i) wait *= 2;
  const double factor = 1 + policy_.jitter * (2 * random - 1);
  const auto wanted = static_cast<double>(std::min(wait, policy_.longest).count()) * factor;
  return milliseconds(static_cast<int64_t>(wanted));
}

}  // namespace berth::init
