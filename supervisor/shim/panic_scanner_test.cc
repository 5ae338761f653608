// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shim/panic_scanner.h"

#include <gtest/gtest.h>

namespace berth::shim {
namespace {

TEST(PanicScanner, FindsTheMarkerInWhateverPieces) {
  const std::string text = "[    1.9] Kernel panic - not syncing: VFS: Unable to mount root fs\n";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    PanicScanner scanner;
    for (size_t at = 0; at < text.size(); at += piece) scanner.Feed(text.substr(at, piece));
    EXPECT_TRUE(scanner.found()) << "in pieces of " << piece;
  }
}

TEST(PanicScanner, IsNotTakenInByHalves) {
  PanicScanner scanner;
  scanner.Feed("Kernel panic - not");
  scanner.Feed("");
  scanner.Feed(" Kernel panic - no");
  scanner.Feed("pe syncing");
  EXPECT_FALSE(scanner.found());
}

}  // namespace
}  // namespace berth::shim
