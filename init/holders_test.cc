// SPDX-License-Identifier: Apache-2.0
#include "init/holders.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include "protocol/base/unique_fd.h"

namespace berth::init {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class HoldersTest : public testing::Test {
 protected:
  HoldersTest() {
    folder_ = testing::TempDir() + "berth-holders-XXXXXX";
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
  }
  ~HoldersTest() override {
    unlink((folder_ + "/file").c_str());
    rmdir(folder_.c_str());
  }
  std::string folder_;
};

TEST_F(HoldersTest, NamesAProcessWithAnOpenFileBelow) {
  EXPECT_THAT(HoldersOf(folder_), IsEmpty());
  const UniqueFd file(open((folder_ + "/file").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  ASSERT_TRUE(file);
  EXPECT_THAT(HoldersOf(folder_), HasSubstr("(" + std::to_string(getpid()) + ")"));
}

TEST_F(HoldersTest, DoesNotTakeALongerNameForOneBelow) {
  const UniqueFd file(open((folder_ + "/file").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  ASSERT_TRUE(file);
  EXPECT_THAT(HoldersOf(folder_ + "/fil"), IsEmpty());
}

}  // namespace
}  // namespace berth::init
