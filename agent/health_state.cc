// SPDX-License-Identifier: Apache-2.0
#include "agent/health_state.h"

namespace berth::agent {

bool HealthState::Take(bool success, Time now) {
  ++runs_;
  Verdict next = verdict_;
  if (success) {
    failures_in_row_ = 0;
    if (successes_in_row_ < policy_.healthy_after) ++successes_in_row_;
    if (successes_in_row_ >= policy_.healthy_after) next = Verdict::kHealthy;
  } else {
    ++failures_;
    successes_in_row_ = 0;
    if (now < begin_ + policy_.start_period) return false;
    if (failures_in_row_ < policy_.unhealthy_after) ++failures_in_row_;
    if (failures_in_row_ >= policy_.unhealthy_after) next = Verdict::kUnhealthy;
  }
  if (next == verdict_) return false;
  verdict_ = next;
  since_ = now;
  ++changes_;
  return true;
}

}  // namespace berth::agent
