// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/forward_listener.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "protocol/base/unix_address.h"

namespace berth::cli {
namespace {

class ForwardListenerTest : public testing::Test {
 protected:
  ForwardListenerTest() {
    char pattern[] = "/tmp/berth-listen-XXXXXX";
    dir_ = mkdtemp(pattern);
    local_.path = dir_ + "/a.sock";
  }
  ~ForwardListenerTest() override { std::filesystem::remove_all(dir_); }

  std::string dir_;
  ForwardEnd local_;
};

TEST_F(ForwardListenerTest, PortZeroBecomesOneThatIsFree) {
  const auto listener = ForwardListener::Open({.host = "127.0.0.1", .port = 0, .path = {}});
  ASSERT_TRUE(listener) << listener.error().Message();
  EXPECT_GT(listener->local().port, 0);
  const auto second = ForwardListener::Open(listener->local());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().errnum, EADDRINUSE);
}

TEST_F(ForwardListenerTest, AnAddressIsNoName) {
  const auto listener = ForwardListener::Open({.host = "example.org", .port = 0, .path = {}});
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().errnum, EINVAL);
}

TEST_F(ForwardListenerTest, AUnixSocketIsItsOwnersAndIsGoneInTheEnd) {
  {
    const auto listener = ForwardListener::Open(local_);
    ASSERT_TRUE(listener) << listener.error().Message();
    struct stat status{};
    ASSERT_EQ(lstat(local_.path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
    EXPECT_EQ(listener->Accept().error().errnum, EAGAIN);
    const auto second = ForwardListener::Open(local_);
    ASSERT_FALSE(second) << "somebody listens there";
    EXPECT_EQ(second.error().errnum, EADDRINUSE);
  }
  EXPECT_FALSE(std::filesystem::exists(local_.path));
}

TEST_F(ForwardListenerTest, TakesThePlaceOfASocketThatNobodyListensOn) {
  {
    const UniqueFd dead(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto address = UnixAddress("test", local_.path).value();
    ASSERT_EQ(bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  ASSERT_TRUE(std::filesystem::exists(local_.path));
  EXPECT_TRUE(ForwardListener::Open(local_));
}

TEST_F(ForwardListenerTest, LeavesWhatIsNoSocketAlone) {
  std::ofstream(local_.path) << "mine";
  ASSERT_FALSE(ForwardListener::Open(local_));
  EXPECT_TRUE(std::filesystem::is_regular_file(local_.path));
}

TEST_F(ForwardListenerTest, DoesNotRemoveWhatAnotherHasPutInItsPlace) {
  {
    const auto listener = ForwardListener::Open(local_);
    ASSERT_TRUE(listener);
    std::filesystem::rename(local_.path, dir_ + "/kept");
    std::ofstream(local_.path) << "another's";
  }
  EXPECT_TRUE(std::filesystem::exists(local_.path));
}

}  // namespace
}  // namespace berth::cli
