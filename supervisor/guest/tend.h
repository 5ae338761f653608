// SPDX-License-Identifier: Apache-2.0
//
// What the host asks and tells an agent of generation 3 of its own accord: health, time, entropy.
// The messages that it makes, and the bounds of what comes back.
#ifndef BERTH_SUPERVISOR_GUEST_TEND_H_
#define BERTH_SUPERVISOR_GUEST_TEND_H_

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/agent_settings.h"
#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/proto/berth.pb.h"
#include "protocol/wire/channel.h"

namespace berth::guest {

v1::HealthConfigure ToHealthConfigure(const std::vector<HealthCheck>& checks);

// What is wrong with what a guest sent, if anything: the bounds of protocol/wire/limits.h.
Result<> CheckHealthReply(const v1::HealthReply& reply);

Result<> CheckFreezeReply(const v1::FreezeReply& reply);

// 64 bytes of getrandom(2).
Result<v1::Reseed> MakeReseed();

// One question and its answer. Realtime of the host before and behind it, of the guest between; the
// monotonic way there and back.
struct ClockSample {
  int64_t before_ns = 0;
  int64_t guest_ns = 0;
  int64_t after_ns = 0;
  int64_t round_trip_ns = 0;
};
struct ClockOffset {
  int64_t offset_ns = 0;  // the guest's less the host's
  int64_t error_ns = 0;   // half of the way
};
// Of the quickest. None: the host's own clock was set meanwhile, each time.
std::optional<ClockOffset> BestOffset(std::span<const ClockSample> samples);

struct ClockLook {
  ClockOffset offset;
  bool own_time = false;
};
// Dials, and asks wire::kClockSamples times. EPROTONOSUPPORT of an agent that is too old.
boost::asio::awaitable<Result<ClockLook>> LookAtClock(boost::asio::any_io_executor executor,
                                                      std::string vsock_socket_path,
                                                      Deadline deadline);

}  // namespace berth::guest

#endif  // BERTH_SUPERVISOR_GUEST_TEND_H_
