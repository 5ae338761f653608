// SPDX-License-Identifier: Apache-2.0
//
// AwaitReady: waits until a descriptor is ready, and is told so by the kernel.
//
// A wait of Asio's can end without a cause: what epoll said of a descriptor that was closed before
// its turn came is told to the next one, which took its place in the reactor. Who reads or writes
// thereafter finds EAGAIN and waits again. Who takes the end of the wait as the news itself (this
// process has ended, this connection is up) needs AwaitReady.
#ifndef BERTH_PROTOCOL_WIRE_READINESS_H_
#define BERTH_PROTOCOL_WIRE_READINESS_H_

#include <poll.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>

#include "protocol/base/clock.h"
#include "protocol/wire/expiry.h"

namespace berth::wire {

// Of a descriptor or socket of Asio's. Errors: timed_out once `deadline` has passed, or those of
// async_wait.
template <typename Object>
boost::asio::awaitable<boost::system::error_code> AwaitReady(
    Object& object, typename Object::wait_type type,
    std::optional<Deadline> deadline = std::nullopt) {
  pollfd wanted = {};
  wanted.events = type == Object::wait_read    ? POLLIN
                  : type == Object::wait_write ? POLLOUT
                                               : POLLPRI;
  Expiry expiry(object.get_executor());
  for (;;) {
    if (deadline) expiry.Arm(*deadline, object);
    boost::system::error_code code;
    co_await object.async_wait(type, boost::asio::redirect_error(boost::asio::use_awaitable, code));
    if (expiry.Disarm()) co_return boost::asio::error::timed_out;
    if (code) co_return code;
    wanted.fd = object.native_handle();
    if (poll(&wanted, 1, 0) != 0) co_return boost::system::error_code();
  }
}

}  // namespace berth::wire

#endif  // BERTH_PROTOCOL_WIRE_READINESS_H_
