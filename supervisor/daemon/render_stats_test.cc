// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/render_stats.h"

#include <gtest/gtest.h>

namespace berth::daemon {
namespace {

TEST(RenderStats, WhatTheKernelDoesNotTellIsNull) {
  v1::StatsReply reply;
  reply.set_load1_centi(152);
  auto& group = *reply.add_services();
  group.set_name("web\x1b[2J");
  group.set_memory_bytes(0);
  reply.mutable_memory_pressure()->mutable_some()->set_avg10_centi(250);
  const nlohmann::json out = StatsJson(reply);
  EXPECT_EQ(out["load"][0], 1.52);
  EXPECT_EQ(out["services"][0]["name"], "web?[2J");
  EXPECT_EQ(out["services"][0]["memory_bytes"], 0);
  EXPECT_TRUE(out["services"][0]["cpu_us"].is_null());
  EXPECT_TRUE(out["pressure"]["cpu"].is_null());
  EXPECT_EQ(out["pressure"]["memory"]["some"]["avg10"], 2.5);
  EXPECT_TRUE(out["pressure"]["memory"]["full"].is_null());
}

TEST(RenderStats, TheHypervisorsUseByTheHostsKernel) {
  // As of a QEMU, but for its name.
  const auto use = ParseProcessStat(
      "4711 (qemu) (x) 1) S 1 4711 4711 0 -1 4194560 5000 0 12 0 1500 250 0 0 20 0 5 0 123456 "
      "987654321 2048 18446744073709551615 1 1 0\n",
      100, 4096);
  ASSERT_TRUE(use);
  EXPECT_EQ(use->cpu_us, 17'500'000U);
  EXPECT_EQ(use->rss_bytes, 2048U * 4096);
  EXPECT_FALSE(ParseProcessStat("4711 (qemu) S 1 2 3", 100, 4096));
  EXPECT_FALSE(ParseProcessStat("", 100, 4096));
}

}  // namespace
}  // namespace berth::daemon
