// SPDX-License-Identifier: Apache-2.0
//
// The guest's clock as the host measures and sets it, over a scripted device; and the random pool.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>

#include "protocol/base/agent_settings.h"
#include "protocol/base/io.h"
#include "protocol/wire/handshake.h"
#include "supervisor/guest/call.h"
#include "supervisor/guest/tend.h"
#include "tests/agent/agent_rig.h"
#include "tests/agent/scripted_device.h"

namespace berth::testing {
namespace {

constexpr int64_t kHourNs = 3'600'000'000'000;

template <typename T>
T RunHost(boost::asio::io_context& context, boost::asio::awaitable<T> what) {
  std::optional<T> result;
  boost::asio::co_spawn(
      context, [&]() -> boost::asio::awaitable<void> { result.emplace(co_await std::move(what)); },
      boost::asio::detached);
  context.run();
  context.restart();
  return std::move(*result);
}

class ClockTest : public ::testing::Test {
 protected:
  Result<guest::ClockLook> Look() {
    return RunHost(context_, guest::LookAtClock(context_.get_executor(), rig_.vsock_path(),
                                                Deadline::In(kPatience)));
  }
  Result<v1::Envelope> Call(v1::Envelope request, v1::Envelope::BodyCase answer) {
    return RunHost(context_,
                   guest::Call(context_.get_executor(), rig_.vsock_path(), std::move(request),
                               wire::kOperatorGeneration, answer, Deadline::In(kPatience)));
  }
  Result<v1::Envelope> Step(int64_t delta_ns) {
    v1::Envelope request;
    request.mutable_clock_step()->set_delta_ns(delta_ns);
    return Call(std::move(request), v1::Envelope::kClockStepped);
  }

  boost::asio::io_context context_;
  AgentRig rig_;
  ScriptedDevice device_{rig_.vsock_path(), rig_.agent_path()};
};

TEST_F(ClockTest, TheHostMeasuresTheOffsetWithinItsErrorAndSetsIt) {
  rig_.clock().offset_ns = kHourNs;
  const auto look = Look();
  ASSERT_TRUE(look) << look.error().Message();
  EXPECT_GT(look->offset.error_ns, 0);
  EXPECT_LE(std::abs(look->offset.offset_ns - kHourNs), look->offset.error_ns + 1000);
  EXPECT_FALSE(look->own_time);
  const auto stepped = Step(-look->offset.offset_ns);
  ASSERT_TRUE(stepped) << stepped.error().Message();
  EXPECT_TRUE(stepped->clock_stepped().done()) << stepped->clock_stepped().why();
  const auto again = Look();
  ASSERT_TRUE(again);
  EXPECT_LE(std::abs(again->offset.offset_ns),
            again->offset.error_ns + look->offset.error_ns + 10'000'000);
}

TEST_F(ClockTest, AGuestWithItsOwnTimeSaysSoAndIsNotSet) {
  // Read when the boot record has come: both are there before the first look is answered.
  ASSERT_TRUE(WriteFileAtomic(rig_.settings_path(),
                              EncodeAgentSettings({.host_sets_clock = false, .checks = {}}), 0600));
  rig_.SendControl({.kind = ControlKind::kBootPhasesEnd, .agent_starts = 1});
  EXPECT_TRUE(Eventually([&] { return Look().value().own_time; }));
  const auto stepped = Step(kHourNs);
  ASSERT_TRUE(stepped);
  EXPECT_FALSE(stepped->clock_stepped().done());
  EXPECT_EQ(rig_.clock().offset_ns, 0);
}

TEST_F(ClockTest, ASeedReachesTheDeviceAndIsNotToldOf) {
  auto reseed = guest::MakeReseed();
  ASSERT_TRUE(reseed);
  const std::string seed = reseed->seed();
  EXPECT_EQ(std::ranges::count(seed, seed[0]) == static_cast<int>(seed.size()), false);
  v1::Envelope request;
  *request.mutable_reseed() = *reseed;
  // The rig's device takes none: what the agent says of it does not hold the seed.
  const auto answer = Call(std::move(request), v1::Envelope::kReseeded);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().errnum, ENOTTY);
  EXPECT_EQ(answer.error().detail.find(seed.substr(0, 8)), std::string::npos);
}

}  // namespace
}  // namespace berth::testing
