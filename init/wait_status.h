// SPDX-License-Identifier: Apache-2.0
//
// How a process ended, for people.
#ifndef BERTH_INIT_WAIT_STATUS_H_
#define BERTH_INIT_WAIT_STATUS_H_

#include <string>

namespace berth::init {

// "exit code 3", "SIGSEGV (core dumped)".
std::string DescribeWaitStatus(int wait_status);

}  // namespace berth::init

#endif  // BERTH_INIT_WAIT_STATUS_H_
