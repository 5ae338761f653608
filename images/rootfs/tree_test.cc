// SPDX-License-Identifier: Apache-2.0
#include "images/rootfs/tree.h"

#include <gtest/gtest.h>

#include "images/rootfs/limits.h"

namespace berth::image {
namespace {

Inode Make(Type type, std::string target = {}) {
  Inode inode;
  inode.type = type;
  inode.target = std::move(target);
  return inode;
}

std::string Names(const Tree& tree) {
  std::string names;
  for (const auto& [path, entry] : tree.entries()) {
    if (!path.empty()) names += (names.empty() ? "" : " ") + path;
  }
  return names;
}

TEST(CleanPath, DropsDotsAndDoubledSlashes) {
  EXPECT_EQ(CleanPath("./a//b/./c/").value(), "a/b/c");
  EXPECT_EQ(CleanPath("./").value(), "");
  EXPECT_EQ(CleanPath("..a/b..").value(), "..a/b..");
}

TEST(CleanPath, RefusesWhatLeadsOut) {
  EXPECT_EQ(CleanPath("/etc/passwd").error().errnum, EINVAL);
  EXPECT_EQ(CleanPath("a/../../b").error().errnum, EINVAL);
  EXPECT_EQ(CleanPath("..").error().errnum, EINVAL);
  EXPECT_EQ(CleanPath(std::string_view("a\0b", 3)).error().errnum, EINVAL);
}

TEST(CleanPath, RefusesNamesThatNoFileSystemTakes) {
  EXPECT_TRUE(CleanPath(std::string(255, 'n')).has_value());
  EXPECT_EQ(CleanPath(std::string(256, 'n')).error().errnum, ENAMETOOLONG);
  std::string deep;
  for (size_t i = 0; i <= kMaxDepth; ++i) deep += "d/";
  EXPECT_EQ(CleanPath(deep).error().errnum, ENAMETOOLONG);
}

TEST(Tree, MakesDirectoriesThatAreMissingAbove) {
  Tree tree;
  ASSERT_TRUE(tree.Put("a/b/c", Make(Type::kFile)));
  EXPECT_EQ(Names(tree), "a a/b a/b/c");
  EXPECT_EQ(tree.Find("a/b")->type, Type::kDirectory);
}

TEST(Tree, NeverWritesThroughALink) {
  Tree tree;
  ASSERT_TRUE(tree.Put("etc", Make(Type::kSymlink, "/outside")));
  const auto put = tree.Put("etc/passwd", Make(Type::kFile));
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().errnum, ENOTDIR);
  EXPECT_EQ(tree.Find("etc/passwd"), nullptr);
  EXPECT_FALSE(tree.Put("f", Make(Type::kFile)) && tree.Put("f/g", Make(Type::kFile)));
}

TEST(Tree, FileOverDirectoryTakesWhatWasInItAway) {
  Tree tree;
  ASSERT_TRUE(tree.Put("d/x", Make(Type::kFile)));
  ASSERT_TRUE(tree.Put("d-e", Make(Type::kFile)));
  ASSERT_TRUE(tree.Put("d", Make(Type::kFile), 1));
  EXPECT_EQ(Names(tree), "d d-e");
  ASSERT_TRUE(tree.Put("d", Make(Type::kDirectory), 2));
  ASSERT_TRUE(tree.Put("d/y", Make(Type::kFile), 2));
  ASSERT_TRUE(tree.Put("d", Make(Type::kDirectory), 3));
  EXPECT_EQ(Names(tree), "d d-e d/y") << "a directory over a directory keeps what is in it";
}

TEST(Tree, HardLinksShareOneInodeUntilOneIsReplaced) {
  Tree tree;
  ASSERT_TRUE(tree.Put("a", Make(Type::kFile)));
  ASSERT_TRUE(tree.Link("b", "a"));
  EXPECT_EQ(tree.Find("a"), tree.Find("b"));
  ASSERT_TRUE(tree.Put("a", Make(Type::kFifo)));
  EXPECT_EQ(tree.Find("b")->type, Type::kFile);
  EXPECT_FALSE(tree.Link("c", "nowhere"));
  ASSERT_TRUE(tree.Put("d", Make(Type::kDirectory)));
  EXPECT_FALSE(tree.Link("e", "d"));
  // The name lies where what it links to is found.
  ASSERT_TRUE(tree.Put("f/g", Make(Type::kFile)));
  EXPECT_TRUE(tree.Link("f", "f/g"));
}

TEST(Tree, WhiteoutHidesLowerLayersOnly) {
  Tree tree;
  ASSERT_TRUE(tree.Put("d/old", Make(Type::kFile), 1));
  ASSERT_TRUE(tree.Put("d2", Make(Type::kFile), 1));
  ASSERT_TRUE(tree.Put("d/new", Make(Type::kFile), 2));
  tree.Whiteout("d", 2);
  EXPECT_EQ(Names(tree), "d d/new d2");
  tree.Whiteout("d", 3);
  EXPECT_EQ(Names(tree), "d2");
}

TEST(Tree, OpaqueHidesWhatIsInADirectoryWheneverItComes) {
  for (const bool first : {true, false}) {
    Tree tree;
    ASSERT_TRUE(tree.Put("d/sub/old", Make(Type::kFile), 1));
    if (first) tree.Opaque("d", 2);
    ASSERT_TRUE(tree.Put("d/sub2/new", Make(Type::kFile), 2));
    if (!first) tree.Opaque("d", 2);
    EXPECT_EQ(Names(tree), "d d/sub2 d/sub2/new");
  }
}

TEST(Tree, OpaqueRootEmptiesAllLowerLayers) {
  Tree tree;
  ASSERT_TRUE(tree.Put("a/b", Make(Type::kFile), 1));
  tree.Opaque("", 2);
  EXPECT_EQ(Names(tree), "");
  tree.Whiteout("", 3);
  EXPECT_NE(tree.Find(""), nullptr);
}

TEST(Tree, ResolvesLinksInsideItself) {
  Tree tree;
  ASSERT_TRUE(tree.Put("usr/sbin", Make(Type::kDirectory)));
  ASSERT_TRUE(tree.Put("sbin", Make(Type::kSymlink, "usr/sbin")));
  ASSERT_TRUE(tree.Put("abs", Make(Type::kSymlink, "/sbin/../sbin")));
  ASSERT_TRUE(tree.Put("up", Make(Type::kSymlink, "../../../usr")));
  ASSERT_TRUE(tree.Put("loop", Make(Type::kSymlink, "loop")));
  EXPECT_EQ(tree.Resolve("sbin/x").value(), "usr/sbin/x");
  EXPECT_EQ(tree.Resolve("abs/x").value(), "usr/sbin/x");
  EXPECT_EQ(tree.Resolve("up/x").value(), "usr/x");
  EXPECT_EQ(tree.Resolve("new/x").value(), "new/x");
  EXPECT_EQ(tree.Resolve("loop/x").error().errnum, ELOOP);
}

TEST(Tree, BoundsNamesLinksAndAttributesInSum) {
  constexpr size_t kEach = 1 << 20;
  const auto fill = [&](Tree& tree, uint64_t bytes) {
    // In the place of the last, so that the test itself stays small.
    while (bytes > kEach && tree.Put("l", Make(Type::kSymlink, std::string(kEach, 't')))) {
      bytes -= kEach + 1;
    }
    return bytes;
  };
  Tree targets;
  EXPECT_GT(fill(targets, kMaxTreeMetadataBytes + 2 * kEach), kEach);

  Tree attributes;
  fill(attributes, kMaxTreeMetadataBytes);
  Inode inode;
  for (int i = 0; i < 10'000; ++i) inode.xattrs[std::to_string(i)] = std::string(200, 'x');
  EXPECT_EQ(attributes.Put("f", inode).error().errnum, E2BIG);

  Tree names;
  const uint64_t left = fill(names, kMaxTreeMetadataBytes);
  const std::string path = std::string(200, 'a') + "/" + std::string(200, 'b') + "/";
  bool linked = true;
  for (uint64_t i = 0; linked && i <= left / path.size(); ++i) {
    linked = names.Link(path + std::to_string(i), "l").has_value();
  }
  EXPECT_FALSE(linked);
}

TEST(Quoted, LeavesNothingThatATerminalActsOn) {
  EXPECT_EQ(Quoted("a\n\033\\\xff"), "a\\x0a\\x1b\\\\\\xff");
}

}  // namespace
}  // namespace berth::image
