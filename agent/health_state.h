// SPDX-License-Identifier: Apache-2.0
//
// HealthState: what the results of a check's runs make of it. It starts unknown; so many successes
// in a row make it healthy, so many failures in a row unhealthy; failures within the start period
// do not count. Pure: it looks at no clock.
#ifndef BERTH_AGENT_HEALTH_STATE_H_
#define BERTH_AGENT_HEALTH_STATE_H_

#include <chrono>
#include <cstdint>

namespace berth::agent {

struct HealthPolicy {
  int healthy_after = 1;
  int unhealthy_after = 3;
  std::chrono::milliseconds start_period{0};
};

class HealthState {
 public:
  using Time = std::chrono::steady_clock::time_point;
  enum class Verdict : uint8_t { kUnknown = 0, kHealthy = 1, kUnhealthy = 2 };

  HealthState(HealthPolicy policy, Time begin) : policy_(policy), begin_(begin), since_(begin) {}

  // Whether the verdict is another than before.
  bool Take(bool success, Time now);

  Verdict verdict() const { return verdict_; }
  Time since() const { return since_; }
  uint64_t runs() const { return runs_; }
  uint64_t failures() const { return failures_; }  // also those that did not count
  uint64_t changes() const { return changes_; }

 private:
  HealthPolicy policy_;
  Time begin_;
  Time since_;
  Verdict verdict_ = Verdict::kUnknown;
  int successes_in_row_ = 0;
  int failures_in_row_ = 0;
  uint64_t runs_ = 0;
  uint64_t failures_ = 0;
  uint64_t changes_ = 0;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_HEALTH_STATE_H_
