// SPDX-License-Identifier: Apache-2.0
//
// The part of the network that every guest has: its name and its loopback.
#ifndef BERTH_INIT_NETWORK_H_
#define BERTH_INIT_NETWORK_H_

#include <string>

#include "protocol/base/result.h"

namespace berth::init {

// `wanted`, else the first word of /etc/hostname, else "localhost".
Result<> SetHostname(const std::string& wanted);
// Sets "lo" up; the kernel then gives it 127.0.0.1 and ::1.
Result<> BringLoopbackUp();

}  // namespace berth::init

#endif  // BERTH_INIT_NETWORK_H_
