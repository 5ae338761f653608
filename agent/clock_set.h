// SPDX-License-Identifier: Apache-2.0
//
// The guest's realtime clock and its random pool, as the host sets and feeds them.
#ifndef BERTH_AGENT_CLOCK_SET_H_
#define BERTH_AGENT_CLOCK_SET_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/base/result.h"
#include "protocol/proto/berth.pb.h"

namespace berth::agent {

// CLOCK_REALTIME. Tests have one of their own: a test that sets the clock sets its machine's.
class RealtimeClock {
 public:
  virtual ~RealtimeClock() = default;
  virtual int64_t NowNs() const;
  virtual Result<> Set(int64_t ns);
};

// Refused where the clock would leave the years 2000 to 2200: a host that far off is wrong itself.
v1::ClockStepped StepClock(RealtimeClock& clock, const v1::ClockStep& step, bool own_time);

// RNDADDENTROPY and RNDRESEEDCRNG on `device`. EINVAL where the seed is too short or too long.
Result<> AddEntropy(const std::string& device, std::string_view seed);

}  // namespace berth::agent

#endif  // BERTH_AGENT_CLOCK_SET_H_
