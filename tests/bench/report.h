// SPDX-License-Identifier: Apache-2.0
//
// What a benchmark found: rows of a value, the floor measured beside it in the same run, and the
// ratio that is the target.
#ifndef BERTH_TESTS_BENCH_REPORT_H_
#define BERTH_TESTS_BENCH_REPORT_H_

#include <optional>
#include <string>
#include <vector>

namespace berth::bench {

struct Target {
  bool at_most = true;  // else at least
  double bound = 0;
};

struct Row {
  std::string name;
  double value = 0;
  std::string unit;
  std::optional<double>
      floor;  // in the same unit; the target then bounds value ÷ floor, else the value
  std::optional<Target> target;
  std::string note;
};

double Median(std::vector<double> samples);
double Percentile(std::vector<double> samples, double fraction);

// As a table for people, and as JSON ({"rows": [...]}).
std::string ToTable(const std::vector<Row>& rows);
std::string ToJsonText(const std::vector<Row>& rows);

}  // namespace berth::bench

#endif  // BERTH_TESTS_BENCH_REPORT_H_
