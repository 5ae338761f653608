// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/qmp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>

#include "supervisor/hypervisor/temp_dir.h"

namespace berth::qmp {
namespace {

namespace asio = boost::asio;
using nlohmann::json;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;
using testing::HasSubstr;

constexpr std::string_view kGreeting =
    R"({"QMP":{"version":{"qemu":{"major":7,"minor":2,"micro":1}}}})"
    "\r\n";

class QmpTest : public testing::Test {
 protected:
  using Server = std::function<asio::awaitable<void>(UnixStream)>;

  // Runs both ends to their end.
  void Run(Server server, asio::awaitable<void> client) {
    asio::local::stream_protocol::acceptor acceptor(context_, {path_});
    asio::co_spawn(
        context_,
        [&acceptor, server]() -> asio::awaitable<void> {
          auto socket = co_await acceptor.async_accept(asio::use_awaitable);
          co_await server(std::move(socket));
        },
        asio::detached);
    bool finished = false;
    asio::co_spawn(context_, std::move(client), [&](const std::exception_ptr& thrown) {
      EXPECT_FALSE(thrown);
      finished = true;
      context_.stop();
    });
    context_.run_for(30s);
    EXPECT_TRUE(finished);
  }

  static asio::awaitable<std::string> Request(UnixStream& socket) {
    std::string line;
    char byte = 0;
    while (byte != '\n') {
      const auto n = co_await ReadSome(socket, std::span(&byte, 1), Deadline::In(10s));
      if (!n) co_return "";
      line += byte;
    }
    co_return line;
  }
  static asio::awaitable<void> Say(UnixStream& socket, std::string text) {
    [[maybe_unused]] const auto ignored = co_await WriteAll(socket, text, Deadline::In(10s));
  }
  // Greets and agrees to the capabilities, as QEMU does.
  static asio::awaitable<void> Negotiate(UnixStream& socket) {
    co_await Say(socket, std::string(kGreeting));
    EXPECT_THAT(co_await Request(socket), HasSubstr("\"qmp_capabilities\",\"id\":1}"));
    co_await Say(socket, "{\"return\":{},\"id\":1}\r\n");
  }

  TempDir dir_;
  std::string path_ = dir_.path() + "/qmp.sock";
  asio::io_context context_;
};

TEST_F(QmpTest, MatchesRepliesById) {
  const Server server = [](UnixStream socket) -> asio::awaitable<void> {
    co_await Negotiate(socket);
    co_await Request(socket);
    co_await Say(
        socket,
        "{\"return\":{\"stale\":1},\"id\":1}\n{\"event\":\"STOP\"}\n{\"return\":[2],\"id\":2}\n");
    co_await Request(socket);
    co_await Say(socket, "{\"error\":{\"class\":\"GenericError\",\"desc\":\"no\"},\"id\":3}\n");
  };
  Run(server, [](std::string path) -> asio::awaitable<void> {
    auto client = co_await Client::Connect(path, Deadline::In(10s));
    if (!client) {
      ADD_FAILURE() << client.error().Message();
      co_return;
    }
    EXPECT_EQ((*client)->version(), "7.2.1");
    const auto reply = co_await (*client)->Execute("x", json::object(), Deadline::In(10s));
    EXPECT_TRUE(reply && *reply == json({2}));
    const auto event = co_await (*client)->NextEvent(Deadline::In(10s));
    EXPECT_TRUE(event && event->name == "STOP");
    const auto refused = co_await (*client)->Execute("y", json::object(), Deadline::In(10s));
    EXPECT_THAT(refused.error().detail, HasSubstr("GenericError: no"));
    const auto ended = co_await (*client)->NextEvent(Deadline::In(10s));
    EXPECT_EQ(ended.error().errnum, ECONNRESET);
  }(path_));
}

TEST_F(QmpTest, SilentMonitorEndsAtTheDeadline) {
  const Server server = [](UnixStream socket) -> asio::awaitable<void> {
    co_await Request(socket);  // says nothing
  };
  Run(server, [](std::string path) -> asio::awaitable<void> {
    const auto client = co_await Client::Connect(path, Deadline::In(50ms));
    EXPECT_EQ(client.error().step, Step("qmp-greeting"));
    EXPECT_EQ(client.error().errnum, ETIMEDOUT);
  }(path_));
}

TEST_F(QmpTest, FloodOfEventsDoesNotOutlastTheDeadline) {
  const Server server = [](UnixStream socket) -> asio::awaitable<void> {
    co_await Negotiate(socket);
    for (;;) {
      const auto sent =
          co_await WriteAll(socket, "{\"event\":\"RTC_CHANGE\"}\n", Deadline::In(10s));
      if (!sent) co_return;
    }
  };
  Run(server, [](std::string path) -> asio::awaitable<void> {
    auto client = co_await Client::Connect(path, Deadline::In(10s));
    if (!client) {
      ADD_FAILURE() << client.error().Message();
      co_return;
    }
    const auto reply = co_await (*client)->Execute("stop", json::object(), Deadline::In(100ms));
    EXPECT_EQ(reply.error().errnum, ETIMEDOUT);
  }(path_));
}

TEST_F(QmpTest, LineWithoutEndIsNotKept) {
  const Server server = [](UnixStream socket) -> asio::awaitable<void> {
    co_await Negotiate(socket);
    co_await Request(socket);
    for (int i = 0; i < 64; ++i) co_await Say(socket, std::string(64 * 1024, 'x'));
    co_await Say(socket, "\n{\"return\":{},\"id\":2}\n");
  };
  Run(server, [](std::string path) -> asio::awaitable<void> {
    auto client = co_await Client::Connect(path, Deadline::In(10s));
    if (!client) {
      ADD_FAILURE() << client.error().Message();
      co_return;
    }
    EXPECT_TRUE(
        (co_await (*client)->Execute("cont", json::object(), Deadline::In(10s))).has_value());
  }(path_));
}

TEST_F(QmpTest, NobodyThereIsSaid) {
  bool ran = false;
  asio::co_spawn(
      context_,
      [&]() -> asio::awaitable<void> {
        const auto client = co_await Client::Connect(path_, Deadline::In(1s));
        EXPECT_EQ(client.error().step, Step("qmp-connect"));
        EXPECT_EQ(client.error().errnum, ENOENT);
        ran = true;
      },
      asio::detached);
  context_.run_for(10s);
  EXPECT_TRUE(ran);
}

}  // namespace
}  // namespace berth::qmp
