// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/host_listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/vsock/unix_socket.h"

namespace berth::vsock {
namespace {

class HostListenerTest : public ::testing::Test {
 protected:
  HostListenerTest() : loop_(EventLoop::Create().value()) {
    char name[] = "/tmp/berth-vsock-test-XXXXXX";
    directory_ = mkdtemp(name);
    path_ = directory_ + "/v.sock";
  }
  ~HostListenerTest() override {
    listener_.reset();
    unlink(path_.c_str());
    rmdir(directory_.c_str());
  }

  Result<> Bind() {
    BERTH_ASSIGN(listener_, HostListener::Bind(loop_.get(), path_,
                                               [this](UniqueFd fd, uint32_t port, TimePoint) {
                                                 taken_.emplace_back(std::move(fd), port);
                                               }));
    return {};
  }
  UniqueFd Connect() {
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const UnixAddress address = UnixAddress::For(path_).value();
    EXPECT_EQ(connect(fd.get(), address.get(), address.length()), 0);
    return fd;
  }
  void Turn() {
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(loop_->Poll(TimePoint()));
  }
  static void Write(const UniqueFd& fd, std::string_view text) {
    ASSERT_EQ(write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  static bool AtEnd(const UniqueFd& fd) {
    char byte;
    return recv(fd.get(), &byte, 1, MSG_DONTWAIT) == 0;
  }

  std::unique_ptr<EventLoop> loop_;
  std::string directory_;
  std::string path_;
  std::unique_ptr<HostListener> listener_;
  std::vector<std::pair<UniqueFd, uint32_t>> taken_;
};

TEST_F(HostListenerTest, HandsOverAClientWithWhatFollowsItsLine) {
  ASSERT_TRUE(Bind());
  const UniqueFd client = Connect();
  Write(client, "CONN");
  Turn();
  EXPECT_TRUE(taken_.empty());
  Write(client, "ECT 1023\nhello");
  Turn();
  ASSERT_EQ(taken_.size(), 1U);
  EXPECT_EQ(taken_[0].second, 1023U);
  char buffer[16] = {};
  EXPECT_EQ(read(taken_[0].first.get(), buffer, sizeof(buffer)), 5);
  EXPECT_STREQ(buffer, "hello");
  EXPECT_EQ(listener_->NextDeadline(), std::nullopt);
}

TEST_F(HostListenerTest, ClosesAClientWhoseLineIsInvalid) {
  ASSERT_TRUE(Bind());
  const UniqueFd client = Connect();
  Write(client, "GET / HTTP/1.1\r\n");
  Turn();
  EXPECT_TRUE(taken_.empty());
  char byte;
  EXPECT_LE(recv(client.get(), &byte, 1, MSG_DONTWAIT), 0);
  EXPECT_EQ(listener_->NextDeadline(), std::nullopt);
}

TEST_F(HostListenerTest, ClosesAClientThatSaysNothing) {
  ASSERT_TRUE(Bind());
  const UniqueFd client = Connect();
  Turn();
  const auto deadline = listener_->NextDeadline();
  ASSERT_TRUE(deadline);
  EXPECT_LE(*deadline, std::chrono::steady_clock::now() + kConnectLineTimeout);
  listener_->Expire(*deadline - std::chrono::milliseconds(1));
  EXPECT_FALSE(AtEnd(client));
  listener_->Expire(*deadline);
  EXPECT_TRUE(AtEnd(client));
  EXPECT_EQ(listener_->NextDeadline(), std::nullopt);
}

TEST_F(HostListenerTest, ForgetsAClientThatLeaves) {
  ASSERT_TRUE(Bind());
  UniqueFd client = Connect();
  Turn();
  client.Reset();
  Turn();
  EXPECT_EQ(listener_->NextDeadline(), std::nullopt);
}

TEST_F(HostListenerTest, ClosesClientsAboveTheCap) {
  ASSERT_TRUE(Bind());
  std::vector<UniqueFd> clients;
  for (size_t i = 0; i <= kMaxWaitingClients; ++i) {
    clients.push_back(Connect());
    Turn();
  }
  EXPECT_TRUE(AtEnd(clients.back()));
  EXPECT_FALSE(AtEnd(clients.front()));
}

TEST_F(HostListenerTest, TheSocketIsItsOwnersAlone) {
  ASSERT_TRUE(Bind());
  struct stat file{};
  ASSERT_EQ(stat(path_.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777U, 0600U);
}

TEST_F(HostListenerTest, ReplacesTheSocketOfADeadProcessAndRemovesItsOwn) {
  {
    const UniqueFd stale(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const UnixAddress address = UnixAddress::For(path_).value();
    ASSERT_EQ(bind(stale.get(), address.get(), address.length()), 0);
  }
  ASSERT_TRUE(Bind());
  const UniqueFd client = Connect();
  listener_.reset();
  EXPECT_EQ(access(path_.c_str(), F_OK), -1);
}

TEST_F(HostListenerTest, LeavesAnythingButASocketAlone) {
  std::ofstream(path_) << "precious";
  const auto bound = Bind();
  ASSERT_FALSE(bound);
  EXPECT_EQ(bound.error().errnum, EEXIST);
  EXPECT_EQ(access(path_.c_str(), F_OK), 0);
}

TEST_F(HostListenerTest, RefusesAPathThatLeavesNoRoomForPorts) {
  path_ = directory_ + "/" + std::string(107 - directory_.size() - 1, 'x');
  const auto bound = Bind();
  ASSERT_FALSE(bound);
  EXPECT_EQ(bound.error().errnum, ENAMETOOLONG);
}

TEST_F(HostListenerTest, DialHostPortReachesTheListenerOfThatPortOnly) {
  EXPECT_FALSE(DialHostPort(path_, 7));
  const std::string port_path = path_ + "_7";
  const UniqueFd listening(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const UnixAddress address = UnixAddress::For(port_path).value();
  ASSERT_EQ(bind(listening.get(), address.get(), address.length()), 0);
  ASSERT_EQ(listen(listening.get(), 1), 0);
  EXPECT_TRUE(DialHostPort(path_, 7));
  EXPECT_FALSE(DialHostPort(path_, 8));
  unlink(port_path.c_str());
}

}  // namespace
}  // namespace berth::vsock
