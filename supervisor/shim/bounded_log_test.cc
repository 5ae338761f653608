// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shim/bounded_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include "protocol/base/io.h"
#include "supervisor/hypervisor/temp_dir.h"

namespace berth::shim {
namespace {

class BoundedLogTest : public testing::Test {
 protected:
  std::string Content(const std::string& suffix = "") {
    return ReadFile((path_ + suffix).c_str(), 1024 * 1024).value_or("(none)");
  }

  TempDir dir_;
  std::string path_ = dir_.path() + "/x.log";
};

TEST_F(BoundedLogTest, KeepsTheLastBytesInTwoFiles) {
  BoundedLog log(path_, 10);
  log.Write("0123456789abcdefghijXYZ");
  EXPECT_EQ(Content(), "XYZ");
  EXPECT_EQ(Content(".1"), "abcdefghij");
  EXPECT_EQ(log.total_bytes(), 23U);
  EXPECT_EQ(log.lost_bytes(), 0U);
}

TEST_F(BoundedLogTest, NoPieceMakesAFileLongerThanItsBound) {
  BoundedLog log(path_, 1000);
  std::string everything;
  for (int i = 0; i < 500; ++i) {
    const std::string piece(static_cast<size_t>(i % 37) + 1, static_cast<char>('a' + i % 26));
    log.Write(piece);
    everything += piece;
    ASSERT_LE(Content().size(), 1000U);
  }
  const std::string kept = Content(".1") + Content();
  EXPECT_TRUE(everything.ends_with(kept));
  EXPECT_GE(kept.size(), 1000U);
}

TEST_F(BoundedLogTest, LogOfTheRunBeforeIsKeptOnce) {
  dir_.Put("x.log", "before");
  BoundedLog log(path_, 100);
  log.Write("now");
  EXPECT_EQ(Content(), "now");
  EXPECT_EQ(Content(".1"), "before");
}

TEST_F(BoundedLogTest, DoesNotFollowALinkInItsPlace) {
  const std::string victim = dir_.Put("victim", "precious");
  BoundedLog log(path_, 100);
  std::filesystem::remove(path_);
  std::filesystem::create_symlink(victim, path_);
  log.Write(std::string(200, 'x'));
  EXPECT_EQ(ReadFile(victim.c_str(), 100).value(), "precious");
}

// A limit on file size stands for a full disk: write(2) fails from there on.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(BoundedLogTest, FullDiskLosesBytesCountsThemAndSaysSoLater) {
  BoundedLog log(path_, 10'000);
  {
    const FileSizeLimit full(8);
    log.Write("0123456789");
    log.Write("lost");
    EXPECT_EQ(log.lost_bytes(), 6U);
    EXPECT_EQ(log.total_bytes(), 14U);
  }
  log.Write("again");
  EXPECT_EQ(Content(), "01234567\n[berth-shim: 6 bytes lost here: EFBIG]\nagain");
  EXPECT_EQ(log.lost_bytes(), 6U);
}

TEST_F(BoundedLogTest, DirectoryThatIsGoneLosesBytesOnly) {
  BoundedLog log(dir_.path() + "/nowhere/x.log", 10);
  log.Write("abc");
  EXPECT_EQ(log.lost_bytes(), 3U);
}

}  // namespace
}  // namespace berth::shim
