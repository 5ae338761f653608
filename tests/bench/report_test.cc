// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/report.h"

#include <gtest/gtest.h>

namespace berth::bench {
namespace {

TEST(Report, ATargetWithAFloorBoundsTheRatioAndWithoutTheValue) {
  const std::string table = ToTable({{"slow exec", 3, "ms", 2, Target{true, 1.4}, ""},
                                     {"fast pipe", 90, "MiB/s", 100, Target{false, 0.85}, ""},
                                     {"size", 600, "KiB", {}, Target{true, 700}, ""}});
  EXPECT_TRUE(table.contains("1.50×")) << table;
  EXPECT_TRUE(table.contains("≤ 1.4× MISSED")) << table;
  EXPECT_TRUE(table.contains("≥ 0.85× met")) << table;
  EXPECT_TRUE(table.contains("≤ 700 met")) << table;
}

TEST(Report, PercentilesAreSamplesThatWereMeasured) {
  EXPECT_EQ(Median({5, 1, 3}), 3);
  EXPECT_EQ(Percentile({1, 2, 3, 4, 100}, 0.99), 100);
}

}  // namespace
}  // namespace berth::bench
