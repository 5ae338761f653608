// SPDX-License-Identifier: Apache-2.0
#include "init/wait_status.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace berth::init {
namespace {

TEST(DescribeWaitStatus, TellsCodesFromSignals) {
  EXPECT_EQ(DescribeWaitStatus(7 << 8), "exit code 7");
  EXPECT_EQ(DescribeWaitStatus(SIGSEGV | 0x80), "SIGSEGV (core dumped)");
  EXPECT_EQ(DescribeWaitStatus(SIGRTMAX), "signal " + std::to_string(SIGRTMAX));
}

}  // namespace
}  // namespace berth::init
