// SPDX-License-Identifier: Apache-2.0
//
// Dial: a connection to a vsock port of the guest, through the Unix socket of its vsock device, in
// the dialect of Firecracker:
//
//   host    "CONNECT <port>\n"
//   device  "OK <number>\n"      then the stream is the guest's; the number means nothing to us
//   device  closes instead       where nothing listens on the port in the guest
//
// The device is our own process, yet what it says is the guest's word: the line is bounded, and not
// one byte beyond it is taken from the stream.
#ifndef BERTH_SUPERVISOR_GUEST_DIAL_H_
#define BERTH_SUPERVISOR_GUEST_DIAL_H_

#include <boost/asio/awaitable.hpp>
#include <string>
#include <string_view>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/wire/channel.h"

namespace berth::guest {

inline constexpr size_t kMaxReplyBytes = 32;  // "OK 4294967295\n", and room

// Error::step is dial-connect (the device: ENOENT and ECONNREFUSED where it does not run) or
// dial-port (the guest: ECONNREFUSED where nothing listens). ETIMEDOUT for both.
boost::asio::awaitable<Result<wire::Socket>> Dial(boost::asio::any_io_executor executor,
                                                  std::string vsock_socket_path, uint32_t port,
                                                  Deadline deadline);

// The reply line with its newline; EPROTO where it is not of the dialect.
Result<> CheckReply(std::string_view line);

// A generic endpoint of a Unix socket; ENAMETOOLONG where the path does not fit.
Result<boost::asio::generic::stream_protocol::endpoint> UnixEndpoint(const std::string& path);

}  // namespace berth::guest

#endif  // BERTH_SUPERVISOR_GUEST_DIAL_H_
