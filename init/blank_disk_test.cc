// SPDX-License-Identifier: Apache-2.0
#include "init/blank_disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "protocol/base/unique_fd.h"

namespace berth::init {
namespace {

constexpr off_t kDiskBytes = 64 << 20;

class BlankDisk : public testing::Test {
 protected:
  BlankDisk() : fd_(mkstemp(path_.data())) { EXPECT_EQ(ftruncate(fd_.get(), kDiskBytes), 0); }
  ~BlankDisk() override { unlink(path_.c_str()); }
  void Put(off_t at) { ASSERT_EQ(pwrite(fd_.get(), "x", 1, at), 1); }
  bool Blank() { return IsBlankDisk(fd_.get()).value(); }

  std::string path_ = testing::TempDir() + "/blank-disk-XXXXXX";
  UniqueFd fd_;
};

TEST_F(BlankDisk, OfZerosIsBlank) { EXPECT_TRUE(Blank()); }

TEST_F(BlankDisk, IsNotBlankWithAMasterBootRecord) {
  Put(510);
  EXPECT_FALSE(Blank());
}

TEST_F(BlankDisk, IsNotBlankWithABtrfsSuperblock) {
  Put(64 * 1024 + 64);
  EXPECT_FALSE(Blank());
}

TEST_F(BlankDisk, IsNotBlankWithABackupPartitionTable) {
  Put(kDiskBytes - 512);
  EXPECT_FALSE(Blank());
}

TEST_F(BlankDisk, SmallerThanTheProbeIsReadWhole) {
  ASSERT_EQ(ftruncate(fd_.get(), 1000), 0);
  EXPECT_TRUE(Blank());
  Put(999);
  EXPECT_FALSE(Blank());
}

// e2fsck(8) is the judge: exit code 0 is "no errors".
TEST_F(BlankDisk, BecomesASoundExt4) {
  ASSERT_TRUE(WriteEmptyExt4(fd_.get()));
  EXPECT_FALSE(Blank());
  const std::string check = "PATH=$PATH:/usr/sbin:/sbin e2fsck -fn " + path_ + " >/dev/null 2>&1";
  EXPECT_EQ(std::system(check.c_str()), 0);  // NOLINT(concurrency-mt-unsafe)
}

TEST_F(BlankDisk, WithRemainsOfAnEarlierTryBecomesASoundExt4) {
  ASSERT_TRUE(WriteEmptyExt4(fd_.get()));
  const std::string zeros(kBlankProbeBytes, '\0');
  ASSERT_EQ(pwrite(fd_.get(), zeros.data(), zeros.size(), 0), ssize_t{kBlankProbeBytes});
  ASSERT_TRUE(Blank());
  ASSERT_TRUE(WriteEmptyExt4(fd_.get()));
  const std::string check = "PATH=$PATH:/usr/sbin:/sbin e2fsck -fn " + path_ + " >/dev/null 2>&1";
  EXPECT_EQ(std::system(check.c_str()), 0);  // NOLINT(concurrency-mt-unsafe)
}

TEST_F(BlankDisk, TooSmallForAFileSystemIsSaid) {
  ASSERT_EQ(ftruncate(fd_.get(), 1 << 20), 0);
  const auto written = WriteEmptyExt4(fd_.get());
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().errnum, ENOSPC);
  EXPECT_TRUE(Blank());
}

}  // namespace
}  // namespace berth::init
