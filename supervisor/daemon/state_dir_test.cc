// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/state_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "protocol/base/io.h"
#include "supervisor/daemon/log_tail.h"

namespace berth::daemon {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class StateDirTest : public testing::Test {
 protected:
  StateDirTest() {
    char pattern[] = "/tmp/berth-state-XXXXXX";
    dir_ = mkdtemp(pattern);
  }
  ~StateDirTest() override { fs::remove_all(dir_); }
  Deadline Soon() { return Deadline::In(std::chrono::seconds(10)); }

  std::string dir_;
};

TEST_F(StateDirTest, IsOneDaemons) {
  auto first = StateDir::Open(dir_ + "/s");
  ASSERT_TRUE(first);
  const auto second = StateDir::Open(dir_ + "/s");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().errnum, EWOULDBLOCK);
  EXPECT_THAT(second.error().Message(), HasSubstr("another berthd"));
  {
    StateDir gone = std::move(*first);
  }
  EXPECT_TRUE(StateDir::Open(dir_ + "/s")) << "the lock goes with its owner";
}

TEST_F(StateDirTest, IsForItsOwnerOnly) {
  auto state = StateDir::Open(dir_ + "/s");
  ASSERT_TRUE(state && state->MakeVmDir("vm"));
  struct stat status{};
  ASSERT_EQ(stat(state->PathsOf("vm").dir.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
  EXPECT_TRUE(state->MakeVmDir("vm")) << "made again, it is still there";
  EXPECT_TRUE(state->RemoveVmDir("vm"));
  EXPECT_TRUE(state->RemoveVmDir("vm"));
}

TEST_F(StateDirTest, APathThatLeavesNoRoomForSocketsIsRefused) {
  const auto state = StateDir::Open(dir_ + "/" + std::string(90, 'x'));
  ASSERT_FALSE(state);
  EXPECT_EQ(state.error().errnum, ENAMETOOLONG);
}

TEST_F(StateDirTest, TooLittleSpaceIsSaidWithNumbers) {
  auto state = StateDir::Open(dir_ + "/s");
  EXPECT_TRUE(state->CheckSpace(1));
  const auto checked = state->CheckSpace(1ULL << 60);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().errnum, ENOSPC);
  EXPECT_THAT(checked.error().detail, HasSubstr("MiB free"));
}

TEST_F(StateDirTest, LeftoversAreVmDirectoriesAndNothingElse) {
  auto state = StateDir::Open(dir_ + "/s");
  ASSERT_TRUE(state->MakeVmDir("vm"));
  fs::create_directory(dir_ + "/s/vms/not a vm");
  std::ofstream(dir_ + "/s/vms/file") << "x";
  EXPECT_THAT(state->Leftovers(), ElementsAre("vm"));
  EXPECT_TRUE(state->CleanUp("vm", Soon()));
  EXPECT_FALSE(fs::exists(state->PathsOf("vm").dir));
}

TEST_F(StateDirTest, ALeftoverThatRunsIsEndedThroughItsShim) {
  auto state = StateDir::Open(dir_ + "/s");
  ASSERT_TRUE(state->MakeVmDir("vm"));
  const UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, state->PathsOf("vm").ShimSocket().c_str());
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  std::string asked;
  std::thread shim([&] {
    const UniqueFd client(accept(listener.get(), nullptr, nullptr));
    char chunk[256];
    const ssize_t n = read(client.get(), chunk, sizeof(chunk));
    asked.assign(chunk, static_cast<size_t>(std::max<ssize_t>(n, 0)));
  });
  const auto done = state->CleanUp("vm", Soon());
  shim.join();
  ASSERT_TRUE(done) << done.error().Message();
  EXPECT_THAT(asked, HasSubstr("kill"));
  EXPECT_THAT(*done, HasSubstr("still running"));
  EXPECT_FALSE(fs::exists(state->PathsOf("vm").dir));
}

TEST_F(StateDirTest, LogTailIsTheEndOfTheFileAndOfNoEarlierOne) {
  std::ofstream(dir_ + "/log") << "0123456789";
  std::ofstream(dir_ + "/log.1") << "older";
  const auto part = ReadLogTail(dir_ + "/log", 4);
  ASSERT_TRUE(part);
  EXPECT_EQ(part->text, "6789");
  EXPECT_TRUE(part->truncated);
  const auto all = ReadLogTail(dir_ + "/log", 100);
  EXPECT_EQ(all->text, "0123456789");
  EXPECT_FALSE(all->truncated);
  EXPECT_EQ(ReadLogTail(dir_ + "/none", 4).error().errnum, ENOENT);
}

}  // namespace
}  // namespace berth::daemon
