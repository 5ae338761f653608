// SPDX-License-Identifier: Apache-2.0
//
// The berth-vsock binary as a process: what it says when it is ready, and how it ends.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/io.h"
#include "protocol/base/unique_fd.h"
#include "supervisor/vsock/device.h"
#include "supervisor/vsock/fake_driver.h"
#include "supervisor/vsock/fake_frontend.h"
#include "supervisor/vsock/unix_socket.h"

extern char** environ;

namespace berth::vsock {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::chrono::seconds kPatience{20};

class MainTest : public ::testing::Test {
 protected:
  MainTest() {
    char name[] = "/tmp/berth-vsock-test-XXXXXX";
    directory_ = mkdtemp(name);
  }
  ~MainTest() override {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    std::filesystem::remove_all(directory_);
  }

  std::string Path(const char* name) const { return directory_ + "/" + name; }

  // The hypervisor's listening socket.
  void Listen() {
    listener_.Reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const UnixAddress address = UnixAddress::For(Path("vhost.sock")).value();
    ASSERT_EQ(bind(listener_.get(), address.get(), address.length()), 0);
    ASSERT_EQ(listen(listener_.get(), 1), 0);
  }

  void Spawn(std::vector<std::string> arguments) {
    int notify[2];
    int errors[2];
    ASSERT_EQ(pipe2(notify, O_CLOEXEC), 0);
    ASSERT_EQ(pipe2(errors, O_CLOEXEC), 0);
    notify_.Reset(notify[0]);
    errors_.Reset(errors[0]);
    const UniqueFd notify_write(notify[1]);
    const UniqueFd errors_write(errors[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, errors_write.get(), STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&actions, notify_write.get(), 3);
    arguments.insert(arguments.begin(), "berth-vsock");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    ASSERT_EQ(posix_spawn(&pid_, BERTH_VSOCK_BINARY, &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
  }
  void SpawnDevice() {
    Spawn({"--vhost-socket", Path("vhost.sock"), "--socket", Path("v.sock"), "--cid", "42",
           "--notify-fd", "3"});
  }
  // Up to where the hypervisor has accepted and "ready" has come.
  void Start() {
    Listen();
    SpawnDevice();
    frontend_ = FakeFrontend(UniqueFd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)));
    EXPECT_EQ(ReadAll(notify_), "ready\n");
  }

  static std::string ReadAll(const UniqueFd& fd) {
    std::string text;
    char buffer[512];
    const Deadline deadline = Deadline::In(kPatience);
    while (PollFor(fd.get(), POLLIN, deadline)) {
      const ssize_t n = read(fd.get(), buffer, sizeof(buffer));
      if (n <= 0) break;
      text.append(buffer, static_cast<size_t>(n));
    }
    return text;
  }
  // Its exit code; minus the signal where one ended it.
  int Wait() {
    int status = 0;
    // Its end closes stderr, so this waits with a deadline and the next line does not block.
    said_ = ReadAll(errors_);
    EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  std::string directory_;
  UniqueFd listener_;
  UniqueFd notify_;
  UniqueFd errors_;
  FakeFrontend frontend_{UniqueFd()};
  pid_t pid_ = -1;
  std::string said_;
};

TEST_F(MainTest, EndsWithTheHypervisorAndTakesItsSocketAlong) {
  Start();
  EXPECT_EQ(access(Path("v.sock").c_str(), F_OK), 0);
  frontend_.Close();
  EXPECT_EQ(Wait(), 0);
  EXPECT_EQ(said_, "");
  EXPECT_EQ(access(Path("v.sock").c_str(), F_OK), -1);
}

TEST_F(MainTest, EndsOnSigtermAndTakesItsSocketAlong) {
  Start();
  kill(pid_, SIGTERM);
  EXPECT_EQ(Wait(), 0);
  EXPECT_EQ(access(Path("v.sock").c_str(), F_OK), -1);
}

TEST_F(MainTest, SaysInOneLineThatNoHypervisorListens) {
  SpawnDevice();
  EXPECT_EQ(Wait(), 1);
  EXPECT_THAT(said_, StartsWith("berth-vsock: vhost-user-dial: ENOENT"));
  EXPECT_EQ(std::count(said_.begin(), said_.end(), '\n'), 1);
  EXPECT_EQ(ReadAll(notify_), "");
}

TEST_F(MainTest, SaysInOneLineThatItsSocketCannotBeBound) {
  Listen();
  Spawn({"--vhost-socket", Path("vhost.sock"), "--socket", "/nonexistent/v.sock", "--cid", "42"});
  EXPECT_EQ(Wait(), 1);
  EXPECT_THAT(said_, StartsWith("berth-vsock: bind-socket: ENOENT"));
}

TEST_F(MainTest, ExitsWith2ForABadCommandLine) {
  Spawn({"--cid", "two"});
  EXPECT_EQ(Wait(), 2);
  EXPECT_THAT(said_, HasSubstr("--cid"));
}

TEST_F(MainTest, EndsWithOneLineWhenTheHypervisorTalksNonsense) {
  Start();
  const std::string nonsense(12, '\xff');
  ASSERT_EQ(write(frontend_.fd(), nonsense.data(), nonsense.size()), 12);
  EXPECT_EQ(Wait(), 1);
  EXPECT_THAT(said_, StartsWith("berth-vsock: vhost-user-header: EPROTO"));
}

TEST_F(MainTest, MemoryThatShrinksBehindItsBackEndsItCleanly) {
  Start();
  const UniqueFd memory(memfd_create("ram", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(memory.get(), FakeDriver::kRamBytes), 0);
  struct {
    MemTableHeader header{1, 0};
    RegionSpec region{FakeDriver::kRamAddress, FakeDriver::kRamBytes, FakeDriver::kRamAddress, 0};
  } table;
  const int fds[] = {memory.get()};
  frontend_.Send(Request::kSetMemTable, table, fds);
  const UniqueFd kick(eventfd(0, EFD_CLOEXEC));
  const FakeDriver driver(true, true);
  const Virtqueue::Layout layout = driver.LayoutOf(kTxRing);
  frontend_.Send(Request::kSetVringNum, VringState{kTxRing, layout.size});
  frontend_.Send(Request::kSetVringBase, VringState{kTxRing, 0});
  frontend_.Send(Request::kSetVringAddr,
                 VringAddresses{kTxRing, 0, layout.descriptors, layout.used, layout.available, 0});
  const int kicks[] = {kick.get()};
  frontend_.Send(Request::kSetVringKick, uint64_t{kTxRing}, kicks);
  frontend_.Send(Request::kSetVringEnable, VringState{kTxRing, 1}, {}, true);
  // The acknowledgement says that the ring runs.
  std::byte acknowledgement[20];
  ASSERT_TRUE(ReadFull(frontend_.fd(), acknowledgement, Deadline::In(kPatience)));
  ASSERT_EQ(ftruncate(memory.get(), 0), 0);
  ASSERT_EQ(eventfd_write(kick.get(), 1), 0);
  EXPECT_EQ(Wait(), 1);
  EXPECT_THAT(said_, HasSubstr("guest memory is gone"));
}

}  // namespace
}  // namespace berth::vsock
