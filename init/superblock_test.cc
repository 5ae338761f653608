// SPDX-License-Identifier: Apache-2.0
#include "init/superblock.h"

#include <gtest/gtest.h>

#include <array>

namespace berth::init {
namespace {

std::array<std::byte, kSuperblockBytes> With(size_t offset, std::initializer_list<int> bytes) {
  std::array<std::byte, kSuperblockBytes> start{};
  for (const int each : bytes) start[offset++] = static_cast<std::byte>(each);
  return start;
}

TEST(FilesystemOf, KnowsTheOnesThatNeedNoName) {
  EXPECT_STREQ(FilesystemOf(With(1024, {0xe2, 0xe1, 0xf5, 0xe0})), "erofs");
  EXPECT_STREQ(FilesystemOf(With(1080, {0x53, 0xef})), "ext4");
  EXPECT_STREQ(FilesystemOf(With(0, {'h', 's', 'q', 's'})), "squashfs");
  EXPECT_STREQ(FilesystemOf(With(0, {'X', 'F', 'S', 'B'})), "xfs");
}

TEST(FilesystemOf, DoesNotGuess) {
  EXPECT_EQ(FilesystemOf(With(0, {})), nullptr);
  EXPECT_EQ(FilesystemOf({}), nullptr);
  const auto cut = With(1024, {0xe2, 0xe1, 0xf5, 0xe0});
  EXPECT_EQ(FilesystemOf(std::span(cut).first(1027)), nullptr);
}

TEST(IsReadOnlyFilesystem, TellsWhatNeedsAnOverlay) {
  EXPECT_TRUE(IsReadOnlyFilesystem("erofs"));
  EXPECT_TRUE(IsReadOnlyFilesystem("squashfs"));
  EXPECT_FALSE(IsReadOnlyFilesystem("ext4"));
}

}  // namespace
}  // namespace berth::init
