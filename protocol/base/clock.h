// SPDX-License-Identifier: Apache-2.0
//
// Clocks and deadlines. Durations are std::chrono; every wait in Berth takes a Deadline, passed in
// by whoever knows how long is too long.
#ifndef BERTH_PROTOCOL_BASE_CLOCK_H_
#define BERTH_PROTOCOL_BASE_CLOCK_H_

#include <time.h>

#include <chrono>
#include <cstdint>

namespace berth {

// Nanoseconds of CLOCK_MONOTONIC: in a guest, since its kernel started.
inline int64_t MonotonicNs() {
  timespec ts{};
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec;
}

// Nanoseconds of CLOCK_REALTIME since the epoch.
inline int64_t RealtimeNs() {
  timespec ts{};
  clock_gettime(CLOCK_REALTIME, &ts);
  return int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec;
}

// As the protocol counts them; what is no time of a running machine becomes 0, "never".
inline uint64_t ToMicroseconds(int64_t ns) { return ns > 0 ? static_cast<uint64_t>(ns) / 1000 : 0; }

class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  static Deadline In(std::chrono::nanoseconds from_now) {
    return Deadline(Clock::now() + from_now);
  }
  explicit Deadline(Clock::time_point at) : at_(at) {}

  Clock::time_point at() const { return at_; }
  bool Passed() const { return Clock::now() >= at_; }
  // Milliseconds left for poll(2), rounded up so that a wait never spins; 0 once passed.
  int PollTimeoutMs() const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(at_ - Clock::now()).count();
    if (left <= 0) return 0;
    return left > kMaxPollMs ? kMaxPollMs : static_cast<int>(left);
  }

 private:
  static constexpr int kMaxPollMs = 1'000'000'000;
  Clock::time_point at_;
};

}  // namespace berth

#endif  // BERTH_PROTOCOL_BASE_CLOCK_H_
