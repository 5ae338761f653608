// SPDX-License-Identifier: Apache-2.0
//
// Listening sockets of a test on 127.0.0.1.
#ifndef BERTH_TESTS_AGENT_LOOPBACK_H_
#define BERTH_TESTS_AGENT_LOOPBACK_H_

#include <cstdint>

#include "protocol/base/unique_fd.h"

namespace berth::testing {

struct LoopbackListener {
  UniqueFd fd;
  uint16_t port = 0;
};

// On a free port; where it cannot be had, the test fails.
LoopbackListener ListenOnLoopback(int backlog);

}  // namespace berth::testing

#endif  // BERTH_TESTS_AGENT_LOOPBACK_H_
