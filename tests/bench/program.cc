// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/program.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace berth::bench {

Program::Program(const std::string& title) : app_(title) {
  app_.add_option("bin_dir", bin_dir_, "Host programs")->required();
  app_.add_option("images_dir", images_dir_, "What tests/bench/images made")->required();
  app_.add_option("--json", json_, "Write the rows there too");
}

int Program::Run(int argc, char** argv, const std::function<void(std::vector<Row>&)>& measure) {
  // The end-to-end harness reports what goes wrong as GoogleTest failures.
  testing::InitGoogleTest();
  CLI11_PARSE(app_, argc, argv);
  try {
    setenv("BERTH_BIN_DIR", std::filesystem::absolute(bin_dir_).c_str(), 1);
    setenv("BERTH_IMAGES_DIR", std::filesystem::absolute(images_dir_).c_str(), 1);
    std::vector<Row> rows;
    measure(rows);
    std::fputs(ToTable(rows).c_str(), stdout);
    if (!json_.empty()) std::ofstream(json_) << ToJsonText(rows);
    return testing::Test::HasFailure() ? 1 : 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", std::filesystem::path(argv[0]).filename().string(),
               error.what());
    return 1;
  }
}

}  // namespace berth::bench
