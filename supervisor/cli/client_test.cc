// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <thread>

#include "protocol/base/io.h"

namespace berth::cli {
namespace {

using testing::HasSubstr;

Deadline Soon() { return Deadline::In(std::chrono::seconds(10)); }

// A daemon that answers one connection by script.
class ClientTest : public testing::Test {
 protected:
  ClientTest() {
    char pattern[] = "/tmp/berth-cli-XXXXXX";
    dir_ = mkdtemp(pattern);
    listener_.Reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path().c_str());
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(listener_.get(), 4), 0);
  }
  ~ClientTest() override {
    if (daemon_.joinable()) daemon_.join();
    std::filesystem::remove_all(dir_);
  }
  std::string path() const { return dir_ + "/d.sock"; }
  void Answer(std::function<void(int)> script) {
    daemon_ = std::thread([this, script = std::move(script)] {
      const UniqueFd client(accept(listener_.get(), nullptr, nullptr));
      char c = 0;
      while (ReadFull(client.get(), std::as_writable_bytes(std::span(&c, 1)), Soon()) &&
             c != '\n') {
      }
      script(client.get());
    });
  }

  std::string dir_;
  UniqueFd listener_;
  std::thread daemon_;
};

TEST_F(ClientTest, AnAnswerIsItsResult) {
  Answer([](int fd) {
    std::ignore = WriteFull(fd,
                            R"({"jsonrpc":"2.0","id":1,"result":[1]})"
                            "\n",
                            Soon());
  });
  auto client = Client::Connect(path());
  ASSERT_TRUE(client);
  EXPECT_EQ(client->Call("m", json::object(), Soon()).value(), json({1}));
}

TEST_F(ClientTest, AnErrorsKindDecidesTheExitCode) {
  Answer([](int fd) {
    std::ignore = WriteFull(
        fd,
        R"({"jsonrpc":"2.0","id":1,"error":{"code":-32007,"message":"boot: no","data":{"kind":"start-failed"}}})"
        "\n",
        Soon());
  });
  auto client = Client::Connect(path());
  const auto answer = client->Call("m", json::object(), Soon());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().exit_code, 7);
  EXPECT_EQ(answer.error().message, "boot: no");
}

TEST_F(ClientTest, ADescriptorRightBehindTheAnswerIsNotLost) {
  Answer([](int fd) {
    int pair[2];
    if (pipe(pair) != 0) return;
    const UniqueFd read_end(pair[0]);
    const UniqueFd write_end(pair[1]);
    std::ignore = WriteFull(write_end.get(), "x", Soon());
    std::ignore = WriteFull(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n", Soon());
    std::ignore = SendFd(fd, read_end.get(), Soon());
  });
  auto client = Client::Connect(path());
  auto fd = client->CallForFd("m", json::object(), Soon());
  ASSERT_TRUE(fd) << fd.error().message;
  char c = 0;
  EXPECT_TRUE(ReadFull(fd->get(), std::as_writable_bytes(std::span(&c, 1)), Soon()));
  EXPECT_EQ(c, 'x');
}

TEST_F(ClientTest, ADaemonThatGoesAwayIsUnreachable) {
  Answer([](int) {});
  auto client = Client::Connect(path());
  const auto answer = client->Call("m", json::object(), Soon());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().exit_code, 5);
}

TEST_F(ClientTest, ADaemonThatIsSilentIsGivenUpAtTheDeadline) {
  Answer([](int fd) {
    char c = 0;
    std::ignore = ReadFull(fd, std::as_writable_bytes(std::span(&c, 1)), Soon());
  });
  {
    auto client = Client::Connect(path());
    const auto answer =
        client->Call("m", json::object(), Deadline::In(std::chrono::milliseconds(20)));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().exit_code, 8);
  }
}

TEST_F(ClientTest, AnInterruptEndsTheWaiting) {
  Answer([](int fd) {
    char c = 0;
    std::ignore = ReadFull(fd, std::as_writable_bytes(std::span(&c, 1)), Soon());
  });
  int pair[2];
  ASSERT_EQ(pipe(pair), 0);
  const UniqueFd read_end(pair[0]);
  const UniqueFd write_end(pair[1]);
  ASSERT_EQ(write(write_end.get(), "x", 1), 1);
  {
    auto client = Client::Connect(path());
    client->set_interrupt_fd(read_end.get());
    EXPECT_EQ(client->Call("m", json::object(), Soon()).error().exit_code, 128);
  }
}

TEST_F(ClientTest, NoDaemonAndADeadOneAreToldApart) {
  const auto none = Client::Connect(dir_ + "/none.sock");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().exit_code, 5);
  EXPECT_THAT(none.error().message, HasSubstr("ENOENT"));
  EXPECT_THAT(none.error().message, HasSubstr("is berthd running?"));
  listener_.Reset();
  const auto dead = Client::Connect(path());
  ASSERT_FALSE(dead);
  EXPECT_THAT(dead.error().message, HasSubstr("ECONNREFUSED"));
}

TEST_F(ClientTest, AnArgumentThatIsNoUtf8IsNamed) {
  auto client = Client::Connect(path());
  ASSERT_TRUE(client);
  const auto answer = client->Call("m", {{"name", "vm"}, {"argv", {"ls", "caf\xe9"}}}, Soon());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().exit_code, 2);
  EXPECT_THAT(answer.error().message, HasSubstr("argv/1 is not UTF-8: 'caf?'"));
}

}  // namespace
}  // namespace berth::cli
