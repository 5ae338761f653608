// SPDX-License-Identifier: Apache-2.0
#include "protocol/base/parse.h"

#include <gtest/gtest.h>

namespace berth {
namespace {

TEST(Parse, CutTakesAFieldAndItsSeparator) {
  std::string_view rest = "one,,three";
  EXPECT_EQ(Cut(rest, ','), "one");
  EXPECT_EQ(Cut(rest, ','), "");
  EXPECT_EQ(Cut(rest, ','), "three");
  EXPECT_TRUE(rest.empty());
  EXPECT_EQ(Cut(rest, ','), "");
}

TEST(Parse, AWholeNumberHasNothingBesideIt) {
  EXPECT_EQ(WholeNumber<uint32_t>("4294967295"), 4294967295U);
  EXPECT_EQ(WholeNumber<int>("-7"), -7);
  for (const char* text : {"", " 1", "1 ", "+1", "0x1", "4294967296", "-1", "1a"}) {
    EXPECT_FALSE(WholeNumber<uint32_t>(text)) << text;
  }
}

TEST(Parse, AMountsFieldHasItsEscapesUndone) {
  EXPECT_EQ(UnescapeMountField("/a\\040b\\134c"), "/a b\\c");
  EXPECT_EQ(UnescapeMountField("\\04"), "\\04");
  EXPECT_EQ(UnescapeMountField("\\089"), "\\089");
}

}  // namespace
}  // namespace berth
