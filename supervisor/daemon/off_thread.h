// SPDX-License-Identifier: Apache-2.0
//
// OffThread: work that would hold the daemon's one thread up, done on another.
#ifndef BERTH_SUPERVISOR_DAEMON_OFF_THREAD_H_
#define BERTH_SUPERVISOR_DAEMON_OFF_THREAD_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <type_traits>

namespace berth::daemon {

// Runs `work` on the pool's thread and comes back on the caller's.
template <typename Work>
boost::asio::awaitable<std::invoke_result_t<Work>> OffThread(boost::asio::thread_pool& pool,
                                                             Work work) {
  using T = std::invoke_result_t<Work>;
  co_return co_await boost::asio::co_spawn(
      pool, [](Work inner) -> boost::asio::awaitable<T> { co_return inner(); }(std::move(work)),
      boost::asio::use_awaitable);
}

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_OFF_THREAD_H_
