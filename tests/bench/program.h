// SPDX-License-Identifier: Apache-2.0
//
// The frame of a program that measures VMs: its arguments, the programs and images that the
// end-to-end harness is to take, and its rows as a table and as JSON.
#ifndef BERTH_TESTS_BENCH_PROGRAM_H_
#define BERTH_TESTS_BENCH_PROGRAM_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "tests/bench/report.h"

namespace berth::bench {

class Program {
 public:
  // Takes BIN_DIR, IMAGES_DIR and --json; more is added to app().
  explicit Program(const std::string& title);

  CLI::App& app() { return app_; }
  // The exit code. `measure` may throw; what the harness finds wrong fails the run too.
  int Run(int argc, char** argv, const std::function<void(std::vector<Row>&)>& measure);

 private:
  CLI::App app_;
  std::string bin_dir_;
  std::string images_dir_;
  std::string json_;
};

}  // namespace berth::bench

#endif  // BERTH_TESTS_BENCH_PROGRAM_H_
