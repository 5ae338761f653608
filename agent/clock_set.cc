// SPDX-License-Identifier: Apache-2.0
#include "agent/clock_set.h"

#include <fcntl.h>
#include <linux/random.h>
#include <sys/ioctl.h>
#include <time.h>

#include <cstring>

#include "protocol/base/clock.h"
#include "protocol/base/unique_fd.h"
#include "protocol/wire/limits.h"

namespace berth::agent {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kEarliestNs = 946'684'800 * kSecondNs;  // 2000-01-01
constexpr int64_t kLatestNs = 7'258'118'400 * kSecondNs;  // 2200-01-01

// What rand_pool_info is, with its bytes.
struct Pool {
  int entropy_bits = 0;
  int bytes = 0;
  char seed[wire::kMaxReseedBytes] = {};
};
static_assert(offsetof(Pool, seed) == sizeof(rand_pool_info));

}  // namespace

int64_t RealtimeClock::NowNs() const { return RealtimeNs(); }

Result<> RealtimeClock::Set(int64_t ns) {
  const timespec time{.tv_sec = ns / kSecondNs, .tv_nsec = ns % kSecondNs};
  if (clock_settime(CLOCK_REALTIME, &time) != 0) return ErrnoError("clock-settime");
  return {};
}

v1::ClockStepped StepClock(RealtimeClock& clock, const v1::ClockStep& step, bool own_time) {
  v1::ClockStepped answer;
  const int64_t now = clock.NowNs();
  int64_t then = 0;
  if (own_time) {
    answer.set_why("its init.toml keeps the host from setting the clock ([time] sync = false)");
  } else if (__builtin_add_overflow(now, step.delta_ns(), &then) || then < kEarliestNs ||
             then > kLatestNs) {
    answer.set_why("the clock would leave the years 2000 to 2200");
  } else if (auto set = clock.Set(then); !set) {
    answer.set_why(set.error().Message());
  } else {
    answer.set_done(true);
  }
  return answer;
}

Result<> AddEntropy(const std::string& device, std::string_view seed) {
  if (seed.size() < wire::kMinReseedBytes || seed.size() > wire::kMaxReseedBytes) {
    return Fail("reseed", EINVAL, "a seed has 32 to 256 bytes");
  }
  const UniqueFd random(open(device.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK));
  if (!random) return ErrnoError("reseed", device);
  Pool pool{.entropy_bits = static_cast<int>(seed.size()) * 8,
            .bytes = static_cast<int>(seed.size())};
  std::memcpy(pool.seed, seed.data(), seed.size());
  const int added = ioctl(random.get(), RNDADDENTROPY, &pool);
  const int errnum = errno;
  // The seed does not stay in this process.
  explicit_bzero(&pool, sizeof(pool));
  if (added != 0) return Fail("reseed", errnum, "RNDADDENTROPY");
  // Added bytes are used at the kernel's next reseeding, which may be minutes away.
  if (ioctl(random.get(), RNDRESEEDCRNG) != 0) return ErrnoError("reseed", "RNDRESEEDCRNG");
  return {};
}

}  // namespace berth::agent
