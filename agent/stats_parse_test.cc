// SPDX-License-Identifier: Apache-2.0
//
// The texts are those of a Linux 6.1 guest.
#include "agent/stats_parse.h"

#include <gtest/gtest.h>

#include "protocol/wire/limits.h"

namespace berth::agent {
namespace {

TEST(StatsParse, Cpu) {
  v1::StatsReply::Cpu cpu;
  ParseCpu(
      "cpu  1020 3 450 99000 12 0 7 2 0 0\n"
      "cpu0 520 3 250 49000 12 0 7 1 0 0\n"
      "cpu1 500 0 200 50000 0 0 0 1 0 0\n"
      "intr 12345 0 0\nctxt 99\nbtime 1700000000\n",
      100, cpu);
  EXPECT_EQ(cpu.count(), 2U);
  EXPECT_EQ(cpu.user_us(), 10'200'000U);
  EXPECT_EQ(cpu.nice_us(), 30'000U);
  EXPECT_EQ(cpu.system_us(), 4'500'000U);
  EXPECT_EQ(cpu.idle_us(), 990'000'000U);
  EXPECT_EQ(cpu.iowait_us(), 120'000U);
  EXPECT_EQ(cpu.irq_us(), 0U);
  EXPECT_EQ(cpu.softirq_us(), 70'000U);
  EXPECT_EQ(cpu.steal_us(), 20'000U);
}

TEST(StatsParse, LoadAndUptime) {
  v1::StatsReply reply;
  ParseLoad("0.52 1.05 12.99 1/123 4567\n", reply);
  ParseUptime("350735.47 234388.90\n", reply);
  EXPECT_EQ(reply.load1_centi(), 52U);
  EXPECT_EQ(reply.load5_centi(), 105U);
  EXPECT_EQ(reply.load15_centi(), 1299U);
  EXPECT_EQ(reply.uptime_us(), 350'735'470'000U);
}

TEST(StatsParse, Memory) {
  v1::StatsReply::Memory memory;
  ParseMemory(
      "MemTotal:         234560 kB\nMemFree:          200000 kB\nMemAvailable:     210000 kB\n"
      "Buffers:               0 kB\nCached:             9000 kB\nSwapCached:            0 kB\n"
      "SwapTotal:         65532 kB\nSwapFree:          65000 kB\nHugePages_Total:       0\n",
      memory);
  EXPECT_EQ(memory.total_bytes(), 234560U * 1024);
  EXPECT_EQ(memory.free_bytes(), 200000U * 1024);
  EXPECT_EQ(memory.available_bytes(), 210000U * 1024);
  EXPECT_EQ(memory.cached_bytes(), 9000U * 1024);
  EXPECT_EQ(memory.swap_total_bytes(), 65532U * 1024);
  EXPECT_EQ(memory.swap_free_bytes(), 65000U * 1024);
}

TEST(StatsParse, PressureIsAbsentWhereTheKernelHasNone) {
  v1::StatsReply::Pressure pressure;
  EXPECT_TRUE(
      ParsePressure("some avg10=1.53 avg60=0.87 avg300=100.00 total=11220\n"
                    "full avg10=0.00 avg60=0.00 avg300=0.00 total=15\n",
                    pressure));
  EXPECT_EQ(pressure.some().avg10_centi(), 153U);
  EXPECT_EQ(pressure.some().avg60_centi(), 87U);
  EXPECT_EQ(pressure.some().avg300_centi(), 10'000U);
  EXPECT_EQ(pressure.some().total_us(), 11'220U);
  EXPECT_EQ(pressure.full().total_us(), 15U);
  pressure.Clear();
  EXPECT_FALSE(ParsePressure("", pressure));
}

TEST(StatsParse, DisksAreWholeDevicesWithSomethingBehindThem) {
  v1::StatsReply reply;
  ParseDisks(
      "   7       0 loop0 5 0 10 1 0 0 0 0 0 1 1 0 0 0 0 0 0\n"
      "   1       0 ram0 0 0 0 0 0 0 0 0 0 0 0\n"
      " 254       0 vda 1203 40 96000 310 77 20 1600 95 0 420 405 0 0 0 0 3 5\n"
      " 254       1 vda1 1100 40 90000 300 77 20 1600 95 0 400 400 0 0 0 0 0 0\n"
      " 254      16 vdb 1 0 8 0 0 0 0 0 0 4 0 0 0 0 0 0 0\n",
      reply);
  ASSERT_EQ(reply.disks_size(), 2);
  EXPECT_EQ(reply.disks(0).name(), "vda");
  EXPECT_EQ(reply.disks(0).reads(), 1203U);
  EXPECT_EQ(reply.disks(0).read_bytes(), 96000U * 512);
  EXPECT_EQ(reply.disks(0).writes(), 77U);
  EXPECT_EQ(reply.disks(0).write_bytes(), 1600U * 512);
  EXPECT_EQ(reply.disks(0).busy_us(), 420'000U);
  EXPECT_EQ(reply.disks(1).name(), "vdb");
}

TEST(StatsParse, Interfaces) {
  v1::StatsReply reply;
  ParseInterfaces(
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs "
      "drop fifo colls carrier compressed\n"
      "    lo:    1500      10    0    0    0     0          0         0     1500      10    0    "
      "0    0     0       0          0\n"
      "  eth0:98765 43 1 2 0 0 0 0 12345 21 3 4 0 0 0 0\n",
      reply);
  ASSERT_EQ(reply.interfaces_size(), 2);
  const auto& eth = reply.interfaces(1);
  EXPECT_EQ(eth.name(), "eth0");
  EXPECT_EQ(eth.rx_bytes(), 98765U);
  EXPECT_EQ(eth.rx_packets(), 43U);
  EXPECT_EQ(eth.rx_errors(), 1U);
  EXPECT_EQ(eth.rx_dropped(), 2U);
  EXPECT_EQ(eth.tx_bytes(), 12345U);
  EXPECT_EQ(eth.tx_packets(), 21U);
  EXPECT_EQ(eth.tx_errors(), 3U);
  EXPECT_EQ(eth.tx_dropped(), 4U);
}

TEST(StatsParse, FilesOfACgroup) {
  EXPECT_EQ(ParseNumber("12345\n"), 12345U);
  EXPECT_FALSE(ParseNumber("max\n"));
  EXPECT_FALSE(ParseNumber(""));
  EXPECT_EQ(ParseKey("usage_usec 77\nuser_usec 50\n", "usage_usec"), 77U);
  EXPECT_EQ(ParseKey("low 0\noom 3\noom_kill 2\n", "oom_kill"), 2U);
  EXPECT_FALSE(ParseKey("low 0\n", "oom_kill"));
  v1::StatsReply::Group group;
  ParseIoStat("254:0 rbytes=4096 wbytes=512 rios=1 wios=1 dbytes=0 dios=0\n254:16 rbytes=1\n",
              group);
  EXPECT_EQ(group.read_bytes(), 4097U);
  EXPECT_EQ(group.write_bytes(), 512U);
}

TEST(StatsParse, WhatIsBeyondItsBoundIsCounted) {
  std::string text;
  for (int i = 0; i < wire::kMaxStatsInterfaces + 3; ++i) {
    text += "if" + std::to_string(i) + ": 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n";
  }
  v1::StatsReply reply;
  ParseInterfaces(text, reply);
  EXPECT_EQ(reply.interfaces_size(), wire::kMaxStatsInterfaces);
  EXPECT_EQ(reply.left_out(), 3U);
}

TEST(StatsParse, NonsenseIsNoNumber) {
  v1::StatsReply reply;
  ParseCpu("cpu x -1 99999999999999999999999 18446744073709551615\ncpu0\n", 100,
           *reply.mutable_cpu());
  EXPECT_EQ(reply.cpu().user_us(), 0U);
  EXPECT_EQ(reply.cpu().system_us(), 0U);
  EXPECT_EQ(reply.cpu().idle_us(), UINT64_MAX) << "what cannot be is the most there is";
  ParseMemory("MemTotal: 18446744073709551615 kB\nMemFree:\n:\n", *reply.mutable_memory());
  EXPECT_EQ(reply.memory().total_bytes(), UINT64_MAX);
  ParseLoad("a b", reply);
  ParseUptime("18446744073709551615.99", reply);
  EXPECT_EQ(reply.uptime_us(), UINT64_MAX);
}

}  // namespace
}  // namespace berth::agent
