// SPDX-License-Identifier: Apache-2.0
//
// Settle: a transition that says what has already happened in the world, so refusing it is no
// choice. Where it cannot be recorded (a full disk) it is tried again, until kRecordTimeout.
#ifndef BERTH_SUPERVISOR_LIFECYCLE_SETTLE_H_
#define BERTH_SUPERVISOR_LIFECYCLE_SETTLE_H_

#include <boost/asio/awaitable.hpp>
#include <string>

#include "supervisor/lifecycle/vm.h"

namespace berth::lifecycle {

inline constexpr auto kRecordTimeout = std::chrono::seconds(60);
inline constexpr auto kRecordRetry = std::chrono::seconds(1);

// False where it was never recorded: the VM then keeps the state it had.
boost::asio::awaitable<bool> Settle(VmPtr vm, Event event, Body next, std::string why);

}  // namespace berth::lifecycle

#endif  // BERTH_SUPERVISOR_LIFECYCLE_SETTLE_H_
