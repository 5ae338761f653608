// SPDX-License-Identifier: Apache-2.0
//
// berth.init=: another program takes PID 1 over.
#ifndef BERTH_INIT_HAND_OVER_H_
#define BERTH_INIT_HAND_OVER_H_

#include <string>

#include "protocol/base/result.h"

namespace berth::init {

// Becomes `program`, in the state in which the kernel starts an init: no signal blocked, and
// `console` as its descriptors 0 to 2, which block. Returns only where it cannot be started.
Error HandOver(const std::string& program, const char* console = "/dev/console");

}  // namespace berth::init

#endif  // BERTH_INIT_HAND_OVER_H_
