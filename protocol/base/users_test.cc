// SPDX-License-Identifier: Apache-2.0
#include "protocol/base/users.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth {
namespace {

using ::testing::ElementsAre;

constexpr std::string_view kPasswd =
    "root:x:0:0:root:/root:/bin/bash\n"
    "# a comment\n"
    "broken:x:notanumber:0::/:/bin/sh\n"
    "short:x:7\n"
    "app:x:1000:1000:App,,,:/srv/app:\n"
    "1001:x:2002:2002::/home/odd:/bin/sh\n"
    "bare:x:1002:50::";
constexpr std::string_view kGroup =
    "root:x:0:\n"
    "app:x:1000:\n"
    "disk:x:6:app,other\n"
    "nogid:x::app\n"
    "audio:x:29:other,app\n"
    "apple:x:30:apple";

Result<Account> Resolve(std::string_view user, std::string_view group = "",
                        std::vector<std::string_view> groups = {}) {
  return ResolveAccount({user, group, std::move(groups)}, kPasswd, kGroup);
}

TEST(UsersTest, EmptyIsRoot) {
  const auto account = Resolve("");
  ASSERT_TRUE(account);
  EXPECT_EQ(account->uid, 0u);
  EXPECT_EQ(account->name, "root");
  EXPECT_EQ(account->home, "/root");
  EXPECT_EQ(account->shell, "/bin/bash");
  EXPECT_THAT(account->groups, ElementsAre(0));
}

TEST(UsersTest, NameGivesTheUsersOwnGroups) {
  const auto account = Resolve("app");
  ASSERT_TRUE(account);
  EXPECT_EQ(account->uid, 1000u);
  EXPECT_EQ(account->gid, 1000u);
  EXPECT_EQ(account->home, "/srv/app");
  EXPECT_EQ(account->shell, "/bin/sh") << "an empty shell is the default one";
  EXPECT_THAT(account->groups, ElementsAre(1000, 6, 29));
}

TEST(UsersTest, NumberFindsItsEntry) {
  const auto account = Resolve("1000");
  ASSERT_TRUE(account);
  EXPECT_EQ(account->name, "app");
  EXPECT_THAT(account->groups, ElementsAre(1000, 6, 29));
}

TEST(UsersTest, NameMadeOfDigitsComesFirst) { EXPECT_EQ(Resolve("1001")->uid, 2002u); }

TEST(UsersTest, UnlistedNumberHasGroupZero) {
  const auto account = Resolve("4711");
  ASSERT_TRUE(account);
  EXPECT_EQ(account->uid, 4711u);
  EXPECT_EQ(account->gid, 0u);
  EXPECT_EQ(account->name, "4711");
  EXPECT_EQ(account->home, "/");
  EXPECT_THAT(account->groups, ElementsAre(0));
}

TEST(UsersTest, LastLineNeedsNoNewline) {
  // "bare" lacks a field: no entry, as for getpwent(3).
  EXPECT_FALSE(Resolve("bare"));
  EXPECT_EQ(ResolveAccount({"last", "", {}}, "last:x:5:5::/:/bin/sh", "")->uid, 5u);
}

TEST(UsersTest, GroupsOfTheRequestReplaceTheUsersOwn) {
  const auto account = Resolve("app", "disk", {"audio", "77", "disk"});
  ASSERT_TRUE(account);
  EXPECT_EQ(account->gid, 6u);
  EXPECT_THAT(account->groups, ElementsAre(6, 29, 77));
}

TEST(UsersTest, UnknownNamesAndImpossibleNumbersAreErrors) {
  EXPECT_EQ(Resolve("nobody").error().step, Step("user"));
  EXPECT_EQ(Resolve("broken").error().step, Step("user"));
  EXPECT_EQ(Resolve("4294967295").error().step, Step("user")) << "the kernel's \"leave as it is\"";
  EXPECT_EQ(Resolve("4294967296").error().step, Step("user"));
  EXPECT_EQ(Resolve("-1").error().step, Step("user"));
  EXPECT_EQ(Resolve("app", "nogid").error().step, Step("group"));
  EXPECT_EQ(Resolve("app", "", {"none"}).error().step, Step("groups"));
}

TEST(UsersTest, NoFilesAtAllStillHaveRoot) {
  const auto account = ResolveAccount({}, "", "");
  ASSERT_TRUE(account);
  EXPECT_EQ(account->uid, 0u);
  EXPECT_EQ(account->name, "root");
}

}  // namespace
}  // namespace berth
