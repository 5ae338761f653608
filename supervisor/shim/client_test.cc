// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shim/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "supervisor/shim/shim_rig.h"

namespace berth::shim {
namespace {

namespace asio = boost::asio;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;

void RunToEnd(asio::io_context& context, asio::awaitable<void> body) {
  bool finished = false;
  asio::co_spawn(context, std::move(body), [&](const std::exception_ptr& thrown) {
    EXPECT_FALSE(thrown);
    finished = true;
  });
  context.run_for(60s);
  EXPECT_TRUE(finished);
}

TEST(ShimClient, FollowsAVmToItsEnd) {
  ShimRig rig;
  rig.Start();
  asio::io_context context;
  RunToEnd(context, [](std::string path) -> asio::awaitable<void> {
    auto connected = co_await Client::Connect(path, Deadline::In(10s));
    if (!connected) {
      ADD_FAILURE() << connected.error().Message();
      co_return;
    }
    Client& client = **connected;
    const auto started = co_await client.Next(Deadline::In(30s));
    EXPECT_TRUE(started && std::holds_alternative<Started>(*started));
    const auto nothing = co_await client.Next(Deadline::In(20ms));
    EXPECT_EQ(nothing.error().errnum, ETIMEDOUT);
    EXPECT_TRUE((co_await client.RequestStatus(Deadline::In(10s))).has_value());
    const auto status = co_await client.Next(Deadline::In(30s));
    EXPECT_TRUE(status && std::holds_alternative<Status>(*status));
    EXPECT_TRUE((co_await client.Kill(Deadline::In(10s))).has_value());
    const auto exited = co_await client.Next(Deadline::In(30s));
    EXPECT_TRUE(exited && std::holds_alternative<ExitRecord>(*exited));
    const auto closed = co_await client.Next(Deadline::In(30s));
    EXPECT_EQ(closed.error().errnum, ECONNRESET);
  }(rig.launch.paths.ShimSocket()));
}

TEST(ShimClient, CancelEndsAWait) {
  ShimRig rig;
  rig.Start();
  asio::io_context context;
  RunToEnd(context, [](std::string path, asio::io_context& io) -> asio::awaitable<void> {
    auto connected = co_await Client::Connect(path, Deadline::In(10s));
    if (!connected) {
      ADD_FAILURE() << connected.error().Message();
      co_return;
    }
    Client& client = **connected;
    const auto started = co_await client.Next(Deadline::In(30s));
    EXPECT_TRUE(started.has_value());
    asio::post(io, [&client] { client.Cancel(); });
    const auto cancelled = co_await client.Next(Deadline::In(30s));
    EXPECT_EQ(cancelled.error().errnum, ECANCELED);
  }(rig.launch.paths.ShimSocket(), context));
}

TEST(ShimClient, NoShimIsSaid) {
  asio::io_context context;
  RunToEnd(context, []() -> asio::awaitable<void> {
    const auto client = co_await Client::Connect("/nonexistent/shim.sock", Deadline::In(1s));
    EXPECT_EQ(client.error().step, Step("shim-connect"));
    EXPECT_EQ(client.error().errnum, ENOENT);
  }());
}

}  // namespace
}  // namespace berth::shim
