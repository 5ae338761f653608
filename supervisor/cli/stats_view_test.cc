// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/stats_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

json Look(double at_ms, uint64_t user_us, uint64_t rx, uint64_t service_us) {
  return json{
      {"guest",
       {{"at_ms", at_ms},
        {"uptime_ms", 90'000.0},
        {"load", {0.5, 1.0, 1.5}},
        {"cpu", {{"count", 2}, {"user_us", user_us}, {"system_us", 0}, {"iowait_us", 7}}},
        {"memory", {{"total_bytes", 1024 * 1024 * 1024}, {"available_bytes", 768 * 1024 * 1024}}},
        {"pressure",
         {{"cpu",
           {{"some", {{"avg10", 1.5}, {"avg60", 0.25}, {"avg300", 0.0}}}, {"full", nullptr}}},
          {"memory", nullptr},
          {"io", nullptr}}},
        {"disks",
         {{{"name", "vda"}, {"read_bytes", 4096}, {"write_bytes", 0}, {"busy_us", 500'000}}}},
        {"interfaces",
         {{{"name", "lo"}, {"rx_bytes", rx}, {"tx_bytes", rx}},
          {{"name", "eth0"}, {"rx_bytes", rx}, {"tx_bytes", 0}, {"rx_errors", 3}}}},
        {"file_systems",
         {{{"path", "/data"}, {"type", "ext4"}, {"device", "/dev/vda"}, {"total_bytes", 2048}}}},
        {"services",
         {{{"name", "web"}, {"cpu_us", service_us}, {"memory_bytes", nullptr}, {"oom_kills", 2}}}},
        {"sessions", json::array()},
        {"left_out", 0}}},
      {"host", {{"pid", 7}, {"at_ms", at_ms + 5}, {"cpu_us", user_us * 2}, {"rss_bytes", 1024}}}};
}

TEST(StatsView, CountersBecomeRatesBetweenTwoLooks) {
  const std::string out =
      RenderStats(Look(1000, 100'000, 0, 0), Look(3000, 1'100'000, 4096, 200'000), 0);
  EXPECT_THAT(out, HasSubstr("cpu        50.0% of 2 CPU: user 50.0%"));
  EXPECT_THAT(out, HasSubstr("256 MiB of 1.0 GiB (25.0%)"));
  EXPECT_THAT(out, HasSubstr("host       100.0% of a CPU, 1.0 KiB of memory"));
  EXPECT_THAT(out, HasSubstr("eth0       2.0 KiB/s"));
  EXPECT_THAT(out, HasSubstr("cpu       1.5%"));
  EXPECT_THAT(out, HasSubstr("web      10.0%  -"));
  EXPECT_THAT(out, Not(HasSubstr("SESSION")));
  EXPECT_THAT(out, HasSubstr("up         90 s, load 0.50 1.00 1.50"));
}

TEST(StatsView, AKernelWithoutPressureIsNamed) {
  json look = Look(0, 0, 0, 0);
  look["guest"]["pressure"] = {{"cpu", nullptr}, {"memory", nullptr}, {"io", nullptr}};
  EXPECT_THAT(RenderStats(look, look, 0), HasSubstr("CONFIG_PSI"));
}

TEST(StatsView, NumbersThatMakeNoSenseAreNoRates) {
  // Time stands still, counters go back, and what is there is of another type.
  EXPECT_THAT(RenderStats(Look(1000, 500, 500, 500), Look(1000, 400, 400, 400), 0),
              HasSubstr("cpu        0.0% of 2 CPU"));
  json odd = Look(2000, 0, 0, 0);
  odd["guest"]["cpu"] = "x";
  odd["guest"]["disks"] = 7;
  odd["guest"]["load"] = json::array({"x"});
  odd["guest"]["services"] = {1, nullptr};
  odd["host"] = nullptr;
  EXPECT_FALSE(RenderStats(json(), odd, 80).empty());
  EXPECT_FALSE(RenderStats(odd, Look(1, 2, 3, 4), 80).empty());
  EXPECT_FALSE(RenderStats(json(), json(), 80).empty());
}

TEST(StatsView, TopHasARowForEachVm) {
  auto row = MakeTopRow("a", Look(1000, 0, 0, 0), Look(2000, 500'000, 2048, 0));
  EXPECT_DOUBLE_EQ(row.cpu, 50);
  EXPECT_DOUBLE_EQ(row.host_cpu, 100);
  EXPECT_DOUBLE_EQ(row.rx, 2048) << "the loopback is no traffic";
  EXPECT_DOUBLE_EQ(row.memory_bytes, 256.0 * 1024 * 1024);
  TopRow silent;
  silent.vm = "silent";
  silent.note = "does not answer\x1b[2J";
  TopRow large = row;
  large.vm = "large";
  large.cpu = 1;
  large.memory_bytes *= 2;
  std::vector<TopRow> rows{silent, large, row};
  SortTop(rows, TopOrder::kCpu);
  EXPECT_EQ(rows[0].vm, "a");
  EXPECT_EQ(rows[2].vm, "silent");
  SortTop(rows, TopOrder::kMemory);
  EXPECT_EQ(rows[0].vm, "large");
  EXPECT_EQ(rows[2].vm, "silent");
  const std::string table = RenderTop(rows, 0);
  EXPECT_THAT(table, HasSubstr("256 MiB of 1.0 GiB"));
  EXPECT_THAT(table, HasSubstr("does not answer"));
  EXPECT_THAT(table, Not(HasSubstr("\x1b")));
}

TEST(StatsView, BytesForPeople) {
  EXPECT_EQ(ShowBytes(0), "0 B");
  EXPECT_EQ(ShowBytes(1023), "1023 B");
  EXPECT_EQ(ShowBytes(1536), "1.5 KiB");
  EXPECT_EQ(ShowBytes(123.0 * 1024 * 1024), "123 MiB");
  EXPECT_EQ(ShowBytes(1e30).substr(ShowBytes(1e30).size() - 3), "PiB");
}

}  // namespace
}  // namespace berth::cli
