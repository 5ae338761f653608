// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/stream_io.h"

#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace berth {
namespace {

namespace asio = boost::asio;

constexpr auto kUse = asio::as_tuple(asio::use_awaitable);

// Readiness only, never the bytes themselves: of two operations that end in the same turn the
// loser's result is thrown away, and readiness can be asked for again.
asio::awaitable<int> WaitReady(UnixStream& socket, UnixStream::wait_type type, Deadline deadline) {
  using asio::experimental::awaitable_operators::operator||;
  asio::steady_timer timer(co_await asio::this_coro::executor, deadline.at());
  const auto first = co_await (socket.async_wait(type, kUse) || timer.async_wait(kUse));
  if (first.index() == 1) co_return ETIMEDOUT;
  const auto [ec] = std::get<0>(first);
  if (!ec) co_return 0;
  co_return ec == asio::error::operation_aborted ? ECANCELED : ec.value();
}

}  // namespace

asio::awaitable<Result<UnixStream>> ConnectUnix(std::string path, Deadline deadline) {
  UnixStream socket(co_await asio::this_coro::executor);
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    co_return Fail("connect", ENAMETOOLONG, path);
  }
  boost::system::error_code ec;
  socket.open(asio::local::stream_protocol(), ec);
  if (!ec) socket.non_blocking(true, ec);
  if (ec) co_return Fail("connect", ec.value(), path);
  const asio::local::stream_protocol::endpoint endpoint(path);
  // A Unix socket connects at once or not at all: EAGAIN says that the listener's backlog is full.
  for (;;) {
    if (connect(socket.native_handle(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) ==
        0) {
      co_return socket;
    }
    if (errno != EAGAIN && errno != EINTR) co_return ErrnoError("connect", path);
    if (deadline.Passed()) co_return Fail("connect", ETIMEDOUT, path + ": its backlog is full");
    constexpr auto kBacklogRetry = std::chrono::milliseconds(10);
    asio::steady_timer pause(co_await asio::this_coro::executor, kBacklogRetry);
    co_await pause.async_wait(kUse);
  }
}

asio::awaitable<Result<size_t>> ReadSome(UnixStream& socket, std::span<char> out,
                                         Deadline deadline) {
  for (;;) {
    // Waiting even where bytes are there: a peer that never pauses must not keep the executor's
    // other coroutines from running, nor a deadline from passing.
    int errnum = co_await WaitReady(socket, UnixStream::wait_read, deadline);
    if (errnum == 0 && deadline.Passed()) errnum = ETIMEDOUT;
    if (errnum != 0) {
      co_return Fail("read", errnum, errnum == ETIMEDOUT ? "nothing came in time" : "");
    }
    const ssize_t n = recv(socket.native_handle(), out.data(), out.size(), MSG_DONTWAIT);
    if (n > 0) co_return static_cast<size_t>(n);
    if (n == 0) co_return Fail("read", ECONNRESET, "the peer closed the connection");
    if (errno != EAGAIN && errno != EINTR) co_return ErrnoError("read");
  }
}

asio::awaitable<Result<>> WriteAll(UnixStream& socket, std::string data, Deadline deadline) {
  std::string_view left = data;
  while (!left.empty()) {
    const ssize_t n =
        send(socket.native_handle(), left.data(), left.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      left.remove_prefix(static_cast<size_t>(n));
      continue;
    }
    if (n < 0 && errno != EAGAIN && errno != EINTR) co_return ErrnoError("write");
    if (const int errnum = co_await WaitReady(socket, UnixStream::wait_write, deadline)) {
      co_return Fail("write", errnum, errnum == ETIMEDOUT ? "the peer does not read" : "");
    }
  }
  co_return Result<>();
}

}  // namespace berth
