// SPDX-License-Identifier: Apache-2.0
#include "protocol/files/entry.h"

#include <gtest/gtest.h>

#include "protocol/wire/limits.h"

namespace berth::files {
namespace {

TEST(EntryTest, NamesAreSingle) {
  for (const char* good : {"a", "...", ".hidden", "with\nnewline", "\xff", "-rf", "a b"}) {
    EXPECT_TRUE(IsEntryName(good)) << good;
  }
  for (const char* bad : {"", ".", "..", "/", "a/b", "/etc", "a/"}) {
    EXPECT_FALSE(IsEntryName(bad)) << bad;
  }
  EXPECT_FALSE(IsEntryName(std::string_view("a\0b", 3)));
  EXPECT_TRUE(IsEntryName(std::string(255, 'x')));
  EXPECT_FALSE(IsEntryName(std::string(256, 'x')));
}

v1::CopyEntry File(const std::string& name) {
  v1::CopyEntry entry;
  entry.set_name(name);
  entry.set_kind(v1::CopyEntry::FILE);
  return entry;
}

TEST(EntryTest, EveryFieldHasItsBounds) {
  EXPECT_TRUE(CheckCopyEntry(File("a"), false));
  EXPECT_TRUE(CheckCopyEntry(File(""), true));
  // The root's name is never the peer's to choose.
  EXPECT_FALSE(CheckCopyEntry(File("a"), true));
  EXPECT_FALSE(CheckCopyEntry(File(""), false));
  EXPECT_FALSE(CheckCopyEntry(File(".."), false));
  const auto broken = [](const std::function<void(v1::CopyEntry&)>& how) {
    v1::CopyEntry entry = File("a");
    how(entry);
    return !CheckCopyEntry(entry, false);
  };
  EXPECT_TRUE(broken([](auto& e) { e.set_kind(v1::CopyEntry::KIND_NONE); }));
  EXPECT_TRUE(broken([](auto& e) { e.set_kind(static_cast<v1::CopyEntry::Kind>(99)); }));
  EXPECT_TRUE(broken([](auto& e) { e.set_mode(010000); }));
  EXPECT_TRUE(broken([](auto& e) { e.set_uid(~0U); }));
  EXPECT_TRUE(broken([](auto& e) { e.set_gid(~0U); }));
  EXPECT_TRUE(broken([](auto& e) { e.set_mtime_ns(1'000'000'000); }));
  EXPECT_TRUE(broken([](auto& e) { e.set_target("x"); }));
  EXPECT_TRUE(broken([](auto& e) { e.set_kind(v1::CopyEntry::SYMLINK); }));
  EXPECT_TRUE(broken([](auto& e) { e.set_kind(v1::CopyEntry::LINK); }));
  EXPECT_TRUE(broken([](auto& e) {
    e.set_kind(v1::CopyEntry::DIRECTORY);
    e.set_link(1);
  }));
  EXPECT_TRUE(broken([](auto& e) {
    e.set_kind(v1::CopyEntry::SYMLINK);
    e.set_target(std::string(wire::kMaxCopyTargetBytes + 1, 'x'));
  }));
  EXPECT_TRUE(broken([](auto& e) {
    e.set_kind(v1::CopyEntry::SYMLINK);
    e.set_target(std::string("a\0b", 3));
  }));
}

TEST(EntryTest, AStartNamesAnAbsolutePathAndAName) {
  v1::CopyStart start;
  start.set_direction(v1::CopyStart::TO_GUEST);
  start.set_path("/srv");
  EXPECT_TRUE(CheckCopyStart(start));
  start.set_name("app");
  EXPECT_TRUE(CheckCopyStart(start));
  const auto broken = [&](const std::function<void(v1::CopyStart&)>& how) {
    v1::CopyStart other = start;
    how(other);
    return !CheckCopyStart(other);
  };
  EXPECT_TRUE(broken([](auto& s) { s.set_direction(v1::CopyStart::DIRECTION_NONE); }));
  EXPECT_TRUE(broken([](auto& s) { s.set_path("srv"); }));
  EXPECT_TRUE(broken([](auto& s) { s.set_path(""); }));
  EXPECT_TRUE(broken([](auto& s) { s.set_path(std::string("/a\0b", 4)); }));
  EXPECT_TRUE(broken([](auto& s) { s.set_path("/" + std::string(wire::kMaxPathBytes, 'x')); }));
  EXPECT_TRUE(broken([](auto& s) { s.set_name("../app"); }));
  EXPECT_TRUE(broken([](auto& s) { s.set_name(".."); }));
}

TEST(EntryTest, PathsAreSplitAsPeopleMeanThem) {
  const auto split = [](std::string_view path) {
    const SplitPath parts = Split(path);
    return parts.directory + "|" + parts.name + (parts.trailing_slash ? "|/" : "");
  };
  EXPECT_EQ(split("a"), ".|a");
  EXPECT_EQ(split("a/b"), "a|b");
  EXPECT_EQ(split("a/b///"), "a|b|/");
  EXPECT_EQ(split("/a"), "/|a");
  EXPECT_EQ(split("/"), "/||/");
  EXPECT_EQ(split("."), ".|");
  EXPECT_EQ(split("a/."), "a/.|");
  EXPECT_EQ(split("a/.."), "a/..|");
  EXPECT_EQ(split("..//"), "..||/");
}

}  // namespace
}  // namespace berth::files
