// SPDX-License-Identifier: Apache-2.0
//
// Unix stream sockets in Asio coroutines, each wait with a deadline. A wait that ends by its
// deadline has taken no bytes, so the stream can be used on.
#ifndef BERTH_SUPERVISOR_HYPERVISOR_STREAM_IO_H_
#define BERTH_SUPERVISOR_HYPERVISOR_STREAM_IO_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <span>
#include <string>
#include <string_view>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"

namespace berth {

using UnixStream = boost::asio::local::stream_protocol::socket;

// On the calling coroutine's executor. Step "connect".
boost::asio::awaitable<Result<UnixStream>> ConnectUnix(std::string path, Deadline deadline);

// At least one byte. Step "read": ETIMEDOUT, ECANCELED (the socket was cancelled or closed), or
// ECONNRESET at the end of the stream.
boost::asio::awaitable<Result<size_t>> ReadSome(UnixStream& socket, std::span<char> out,
                                                Deadline deadline);

// Step "write".
boost::asio::awaitable<Result<>> WriteAll(UnixStream& socket, std::string data, Deadline deadline);

}  // namespace berth

#endif  // BERTH_SUPERVISOR_HYPERVISOR_STREAM_IO_H_
