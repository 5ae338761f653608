// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/copy_path.h"

#include <gtest/gtest.h>

namespace berth::cli {
namespace {

TEST(CopyPathTest, AColonNamesAVmUnlessASlashStandsInFront) {
  EXPECT_EQ(ParseCopyPath("web:/etc/hosts").vm, "web");
  EXPECT_EQ(ParseCopyPath("web:/etc/hosts").path, "/etc/hosts");
  EXPECT_EQ(ParseCopyPath("web:tmp/a:b").path, "/tmp/a:b");
  EXPECT_EQ(ParseCopyPath("web:").path, "/");
  EXPECT_EQ(ParseCopyPath("./a:b").vm, "");
  EXPECT_EQ(ParseCopyPath("./a:b").path, "./a:b");
  EXPECT_EQ(ParseCopyPath("/x:y").vm, "");
  EXPECT_EQ(ParseCopyPath(":x").vm, "");
  EXPECT_EQ(ParseCopyPath("plain").path, "plain");
  EXPECT_TRUE(ParseCopyPath("-").stream);
  EXPECT_FALSE(ParseCopyPath("./-").stream);
}

TEST(CopyPathTest, OneSideIsAVms) {
  const CopyPath here = ParseCopyPath("./x");
  const CopyPath there = ParseCopyPath("vm:/x");
  const CopyPath stream = ParseCopyPath("-");
  EXPECT_TRUE(CheckCopyPaths({here, here}, there));
  EXPECT_TRUE(CheckCopyPaths({there}, here));
  EXPECT_TRUE(CheckCopyPaths({stream}, there));
  EXPECT_TRUE(CheckCopyPaths({there}, stream));
  EXPECT_FALSE(CheckCopyPaths({here}, here));
  EXPECT_FALSE(CheckCopyPaths({there}, there));
  EXPECT_FALSE(CheckCopyPaths({here, there}, there));
  EXPECT_FALSE(CheckCopyPaths({there, there}, stream));
  EXPECT_FALSE(CheckCopyPaths({stream}, stream));
  EXPECT_FALSE(CheckCopyPaths({ParseCopyPath("")}, there));
  EXPECT_FALSE(CheckCopyPaths({ParseCopyPath("vm:/\xff")}, here));
  EXPECT_FALSE(CheckCopyPaths({here}, ParseCopyPath("vm:/" + std::string(5000, 'x'))));
}

TEST(CopyPathTest, ByteCountsAreShort) {
  EXPECT_EQ(ByteCount(0), "0 B");
  EXPECT_EQ(ByteCount(1023), "1023 B");
  EXPECT_EQ(ByteCount(1536), "1.5 KiB");
  EXPECT_EQ(ByteCount(256ULL << 20), "256.0 MiB");
  EXPECT_EQ(ByteCount(5ULL << 50), "5120.0 TiB");
}

}  // namespace
}  // namespace berth::cli
