// SPDX-License-Identifier: Apache-2.0
#include "init/service_configure.h"

#include <gtest/gtest.h>

namespace berth::init {
namespace {

Config Two() {
  Config config;
  config.services.resize(2);
  config.services[0].name = "db";
  config.services[1].name = "app";
  config.services[1].wait_for_configure = true;
  config.services[1].after = {"db"};
  return config;
}

TEST(Configured, ChangesThoseThatWaitForItWhereTheyStand) {
  Config config = Two();
  const ServiceConfig* app = &config.services[1];
  Config fresh = Two();
  fresh.environment = {{"A", "b"}};
  fresh.shutdown.grace = Milliseconds(1);
  fresh.services[1].args = {"--peer", "10.0.0.1"};
  fresh.services[1].limits.memory_bytes = 4096;
  ASSERT_TRUE(CheckConfigured(config, fresh));
  TakeConfigured(config, std::move(fresh));
  EXPECT_EQ(app->args.size(), 2U);
  EXPECT_EQ(app->limits.memory_bytes, 4096U);
  EXPECT_EQ(app->after, std::vector<std::string>{"db"});
  EXPECT_EQ(config.environment.size(), 1U);
  EXPECT_EQ(config.shutdown.grace, Milliseconds(1));
}

// What would be left out is refused, and the key is named.
TEST(Configured, LeavesNothingOutInSilence) {
  struct Case {
    void (*change)(Config&);
    const char* told;
  };
  const Case cases[] = {
      {[](Config& c) { c.services.emplace_back().name = "miner"; },
       "the image has no service \"miner\""},
      {[](Config& c) { c.services[0].args = {"changed"}; },
       "service.db does not wait for the host's configuration"},
      {[](Config& c) { c.services[1].after = {}; },
       "service.app.after is the image's alone to say"},
      {[](Config& c) { c.services[1].sockets.resize(1); },
       "service.app.sockets is the image's alone to say"},
      {[](Config& c) { c.services[1].main = true; },
       "service.app.main is the image's alone to say"},
      {[](Config& c) { c.services[1].ready.notify = true; },
       "service.app.ready is the image's alone to say"},
      {[](Config& c) { c.services[1].enabled = false; },
       "service.app.start is the image's alone to say"},
      {[](Config& c) { c.services[1].wait_for_configure = false; },
       "service.app.wait_for_configure is the image's alone to say"},
  };
  for (const Case& each : cases) {
    Config fresh = Two();
    each.change(fresh);
    const auto checked = CheckConfigured(Two(), fresh);
    ASSERT_FALSE(checked) << each.told;
    EXPECT_EQ(checked.error().errnum, EINVAL);
    EXPECT_EQ(checked.error().detail, each.told);
  }
}

}  // namespace
}  // namespace berth::init
