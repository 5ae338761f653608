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

TEST(TakeConfigured, ChangesThoseThatWaitForItWhereTheyStand) {
  Config config = Two();
  const ServiceConfig* app = &config.services[1];
  Config fresh = Two();
  fresh.environment = {{"A", "b"}};
  fresh.services[0].args = {"changed"};
  fresh.services[1].args = {"--peer", "10.0.0.1"};
  fresh.services[1].after = {};
  fresh.services[1].main = true;
  ASSERT_TRUE(TakeConfigured(config, std::move(fresh)));
  EXPECT_EQ(app->args.size(), 2U);
  EXPECT_EQ(app->after, std::vector<std::string>{"db"});
  EXPECT_FALSE(app->main);
  EXPECT_TRUE(config.services[0].args.empty());
  EXPECT_EQ(config.environment.size(), 1U);
}

TEST(TakeConfigured, AddsNoService) {
  Config config = Two();
  Config fresh = Two();
  fresh.environment = {{"A", "b"}};
  fresh.services.emplace_back().name = "miner";
  const auto taken = TakeConfigured(config, std::move(fresh));
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().detail, "the image has no service \"miner\"");
  EXPECT_TRUE(config.environment.empty());
}

}  // namespace
}  // namespace berth::init
