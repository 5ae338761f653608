// SPDX-License-Identifier: Apache-2.0
#include "supervisor/lifecycle/fault.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::lifecycle {
namespace {

using testing::HasSubstr;

TEST(Fault, OfAnErrnoWithoutANameIsToldByItsNumber) {
  // Linux has no 134, glibc no name for it; a guest may say it all the same.
  for (const int errnum : {134, 4095, -5}) {
    const Fault fault{Kind::kFailed, "service", errnum, "the guest says so", {}};
    EXPECT_THAT(fault.Message(), HasSubstr(std::to_string(errnum)));
    EXPECT_THAT(fault.Message(), HasSubstr("the guest says so"));
  }
}

}  // namespace
}  // namespace berth::lifecycle
