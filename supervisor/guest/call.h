// SPDX-License-Identifier: Apache-2.0
//
// Calls to the agent over a dialled connection. Every wait has a deadline; what the guest answers
// is bounded and checked.
#ifndef BERTH_SUPERVISOR_GUEST_CALL_H_
#define BERTH_SUPERVISOR_GUEST_CALL_H_

#include <boost/asio/awaitable.hpp>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/proto/berth.pb.h"
#include "protocol/wire/channel.h"

namespace berth::guest {

// The host's Hello and `request`, in one write. The answer begins with the guest's Hello.
boost::asio::awaitable<Result<>> Open(wire::Channel& channel, const v1::Envelope& request,
                                      Deadline deadline);

// The same two frames as bytes, for who writes them another way. EMSGSIZE where the request is too
// large.
Result<std::string> EncodeOpening(const v1::Envelope& request);

// What the guest's first message says, and the generation that both speak.
struct GuestHello {
  v1::Hello hello;
  uint32_t generation = 0;
};
boost::asio::awaitable<Result<GuestHello>> ReadHello(wire::Channel& channel, Deadline deadline);

// A message behind the Hello. A Failure comes back as the Error that it is.
boost::asio::awaitable<Result<v1::Envelope>> ReadAnswer(wire::Channel& channel, Deadline deadline);

// EPROTO where the guest began with another message; EPROTONOSUPPORT without a common generation.
Result<uint32_t> CheckGuestHello(const v1::Envelope& first);

struct PingReply {
  v1::Hello hello;
  uint64_t guest_monotonic_us = 0;
  int64_t round_trip_ns = 0;  // of the call, the dialling not counted
};

// Dials, pings and closes.
boost::asio::awaitable<Result<PingReply>> Ping(boost::asio::any_io_executor executor,
                                               std::string vsock_socket_path, Deadline deadline);

// Dials, asks the guest to shut down, and returns once it has agreed. `grace_ms`: between SIGTERM
// and SIGKILL in the guest; 0: its own.
boost::asio::awaitable<Result<>> Shutdown(boost::asio::any_io_executor executor,
                                          std::string vsock_socket_path, v1::Shutdown::Mode mode,
                                          uint64_t grace_ms, Deadline deadline);

// Dials, makes one short call and returns its answer, of the body `answer`: EPROTO where it is
// another. EPROTONOSUPPORT where the guest's agent is older than the generation `since`, the first
// with that call. The answer's own bounds are its reader's affair.
boost::asio::awaitable<Result<v1::Envelope>> Call(boost::asio::any_io_executor executor,
                                                  std::string vsock_socket_path,
                                                  v1::Envelope request, uint32_t since,
                                                  v1::Envelope::BodyCase answer, Deadline deadline);

// What is wrong with what a guest sent, if anything: the bounds of protocol/wire/limits.h.
Result<> CheckServiceReply(const v1::ServiceReply& reply);
Result<> CheckSessionsReply(const v1::SessionsReply& reply);
Result<> CheckGuestEvent(const v1::GuestEvent& event);

}  // namespace berth::guest

#endif  // BERTH_SUPERVISOR_GUEST_CALL_H_
