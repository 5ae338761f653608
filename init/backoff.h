// SPDX-License-Identifier: Apache-2.0
//
// When a service that died may start again: at once after a long life, later and later after short
// ones, and where it only ever crashes, a verdict. Pure; times come in as arguments.
#ifndef BERTH_INIT_BACKOFF_H_
#define BERTH_INIT_BACKOFF_H_

#include <chrono>

namespace berth::init {

struct BackoffPolicy {
  std::chrono::milliseconds first{100};  // after the second short life in a row; doubles from there
  std::chrono::milliseconds longest{30'000};
  std::chrono::milliseconds stable_after{10'000};  // a life this long forgives all before it
  int budget = 6;     // short lives in a row that make a crash loop; 0: none ever do
  double jitter = 0;  // of a wait, up and down: 0.1 is a tenth
};

class Backoff {
 public:
  explicit constexpr Backoff(BackoffPolicy policy) : policy_(policy) {}

  // Notes a life that has ended; returns how long to wait before the next. `random`, from 0 to 1,
  // places the wait within its jitter: services that died together do not come back together.
  std::chrono::milliseconds Ended(std::chrono::nanoseconds lived, double random = 0.5);
  // As if it had never died: somebody asked for a start.
  void Forgive() { short_lives_ = 0; }

  bool crash_loop() const { return policy_.budget > 0 && short_lives_ >= policy_.budget; }
  bool was_stable() const { return was_stable_; }
  int short_lives() const { return short_lives_; }

 private:
  BackoffPolicy policy_;
  int short_lives_ = 0;
  bool was_stable_ = false;
};

}  // namespace berth::init

#endif  // BERTH_INIT_BACKOFF_H_
