// SPDX-License-Identifier: Apache-2.0
//
// The vsock listener that PID 1 makes, keeps, and lends to each agent: no other guest process can
// take the port while the agent is down, and a host that connects then is answered by the next one.
#ifndef BERTH_INIT_LISTENER_H_
#define BERTH_INIT_LISTENER_H_

#include "init/uevent.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::init {

// A driver that is loaded has its device in microseconds; this is for buses that probe late.
inline constexpr std::chrono::seconds kVsockDeviceWait{2};

// Listens on kAgentVsockPort. Fails where the kernel has no vsock, and also where it has but the
// machine has no device: the kernel would let us listen for a host that can never come.
Result<UniqueFd> OpenAgentListener(UeventSocket& uevents);

}  // namespace berth::init

#endif  // BERTH_INIT_LISTENER_H_
