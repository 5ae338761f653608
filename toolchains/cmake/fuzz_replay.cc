// SPDX-License-Identifier: Apache-2.0
//
// Runs a fuzz target once over every file of a corpus folder, without libFuzzer: a plain regression
// test.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
    return 2;
  }
  int replayed = 0;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string input{std::istreambuf_iterator<char>(file), {}};
    std::printf("%s: %zu bytes\n", entry.path().filename().c_str(), input.size());
    std::fflush(stdout);  // so that the last line names the input that broke it
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
    ++replayed;
  }
  std::printf("%d inputs\n", replayed);
  return replayed == 0 ? 1 : 0;
}
