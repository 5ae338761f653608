// SPDX-License-Identifier: Apache-2.0
#include "init/apply.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace berth::init {
namespace {

TEST(SysctlPath, TakesDotsForSlashesAndBack) {
  EXPECT_EQ(SysctlPath("net.ipv4.ip_forward"), "/proc/sys/net/ipv4/ip_forward");
  EXPECT_EQ(SysctlPath("net.ipv4.conf.eth0/100.forwarding"),
            "/proc/sys/net/ipv4/conf/eth0.100/forwarding");
}

TEST(WithUsers, AddsWhatIsMissing) {
  const AccountFiles files =
      WithUsers({.passwd = "root:x:0:0::/root:/bin/sh", .group = "root:x:0:\nweb:x:33:\n"},
                {{.name = "app", .uid = 1000, .gid = 1000, .groups = {"web"}}});
  EXPECT_EQ(files.passwd, "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/:/bin/sh\n");
  EXPECT_EQ(files.group, "root:x:0:\nweb:x:33:app\napp:x:1000:\n");
}

TEST(WithUsers, LeavesWhatIsThere) {
  const AccountFiles there{.passwd = "app:x:7:7::/srv:/bin/false\n",
                           .group = "app:x:7:\nweb:x:33:mo,app\n"};
  const AccountFiles files =
      WithUsers(there, {{.name = "app", .uid = 1000, .gid = 1000, .groups = {"web"}}});
  EXPECT_EQ(files.passwd, there.passwd);
  EXPECT_EQ(files.group, there.group);
}

TEST(WithUsers, AddsToAGroupThatHasMembers) {
  const AccountFiles files =
      WithUsers({.passwd = "", .group = "web:x:33:mo"}, {{.name = "app", .groups = {"web", "no"}}});
  EXPECT_EQ(files.group, "web:x:33:mo,app");
}

TEST(Changes, AreTheRowsThatAreNewOrOther) {
  Config before;
  before.hostname = "a";
  before.files = {{.path = "/x", .content = "1", .owner = ""},
                  {.path = "/y", .content = "1", .owner = ""}};
  before.sysctls = {{"vm.swappiness", "1"}};
  before.network.interfaces.resize(1);
  before.network.interfaces[0].name = "eth0";
  Config after = before;
  const Config none = Changes(before, after);
  EXPECT_EQ(none.hostname, "");
  EXPECT_TRUE(none.files.empty() && none.sysctls.empty() && none.network == NetworkConfig{});
  after.hostname = "b";
  after.files[1].content = "2";
  after.sysctls.emplace_back("vm.overcommit_memory", "1");
  after.network.interfaces[0].mtu = 1400;
  const Config changes = Changes(before, after);
  EXPECT_EQ(changes.hostname, "b");
  ASSERT_EQ(changes.files.size(), 1u);
  EXPECT_EQ(changes.files[0].path, "/y");
  EXPECT_EQ(changes.sysctls.size(), 1u);
  ASSERT_EQ(changes.network.interfaces.size(), 1u);
  EXPECT_EQ(changes.network.interfaces[0].mtu, 1400u);
}

class WriteFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = testing::TempDir() + "/apply-XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    dir_ = path;
  }
  std::string dir_;
};

TEST_F(WriteFilesTest, MakesFoldersModeAndOwner) {
  Config config;
  config.files = {{.path = dir_ + "/a/b/c", .content = "x\n", .mode = 04750, .owner = "65534:7"}};
  WriteFiles(config);
  struct stat info = {};
  ASSERT_EQ(stat((dir_ + "/a/b/c").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 04750u);
  EXPECT_EQ(info.st_uid, 65534u);
  EXPECT_EQ(info.st_gid, 7u);
  std::stringstream text;
  text << std::ifstream(dir_ + "/a/b/c").rdbuf();
  EXPECT_EQ(text.str(), "x\n");
}

TEST_F(WriteFilesTest, GoesOnBehindAFileThatCannotBeWritten) {
  Config config;
  config.files = {{.path = "/proc/no/such", .content = "", .owner = ""},
                  {.path = dir_ + "/ok", .content = "", .owner = "nobody-of-that-name"},
                  {.path = dir_ + "/last", .content = "", .owner = ""}};
  WriteFiles(config);
  struct stat info = {};
  EXPECT_EQ(stat((dir_ + "/last").c_str(), &info), 0);
}

}  // namespace
}  // namespace berth::init
