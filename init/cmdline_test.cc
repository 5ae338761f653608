// SPDX-License-Identifier: Apache-2.0
#include "init/cmdline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::init {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using std::chrono_literals::operator""s;

TEST(CmdlineWords, PartsAtBlanksAndKeepsQuotedBlanks) {
  EXPECT_THAT(CmdlineWords("  a=1 \"b=x y\" c=\"p q\"r\tquiet\n"),
              ElementsAre("a=1", "b=x y", "c=p qr", "quiet"));
}

TEST(CmdlineWords, EndsAtTwoDashesAndAtNull) {
  EXPECT_THAT(CmdlineWords("a -- b"), ElementsAre("a"));
  EXPECT_THAT(CmdlineWords(std::string_view("a\0b", 3)), ElementsAre("a"));
}

TEST(CmdlineWords, IsBounded) {
  std::string many;
  for (size_t i = 0; i < 2 * kMaxCmdlineWords; ++i) many += "w ";
  EXPECT_EQ(CmdlineWords(many).size(), kMaxCmdlineWords);
  EXPECT_EQ(CmdlineWords(std::string(2 * kMaxCmdlineBytes, 'x')).at(0).size(), kMaxCmdlineBytes);
}

TEST(ParseCmdline, EmptyTextGivesDefaults) {
  const Options options = ParseCmdline("");
  EXPECT_EQ(options.root, "");
  EXPECT_EQ(options.overlay, Overlay::kAuto);
  EXPECT_EQ(options.root_wait, 10s);
  EXPECT_FALSE(options.read_only);
  EXPECT_FALSE(options.timeline);
  EXPECT_THAT(options.mistakes, IsEmpty());
}

TEST(ParseCmdline, ReadsEveryBerthKey) {
  const Options options = ParseCmdline(
      "berth.root=/dev/vdb berth.rootfstype=ext4 berth.rootflags=noatime berth.rootwait=3 "
      "berth.overlay=/dev/vdc berth.modules=virtio_net,loop berth.init=/lib/systemd/systemd "
      "berth.agent=/opt/agent berth.timeline");
  EXPECT_EQ(options.root, "/dev/vdb");
  EXPECT_EQ(options.root_fstype, "ext4");
  EXPECT_EQ(options.root_flags, "noatime");
  EXPECT_EQ(options.root_wait, 3s);
  EXPECT_EQ(options.overlay, Overlay::kDevice);
  EXPECT_EQ(options.overlay_device, "/dev/vdc");
  EXPECT_THAT(options.modules, ElementsAre("virtio_net", "loop"));
  EXPECT_EQ(options.init, "/lib/systemd/systemd");
  EXPECT_EQ(options.agent, "/opt/agent");
  EXPECT_TRUE(options.timeline);
  EXPECT_THAT(options.mistakes, IsEmpty());
}

TEST(ParseCmdline, TakesTheSizeOfATmpfsOverlay) {
  EXPECT_EQ(ParseCmdline("berth.overlay=tmpfs:512M").overlay_size, "512M");
  EXPECT_EQ(ParseCmdline("berth.overlay=tmpfs:25%").overlay_size, "25%");
  EXPECT_EQ(ParseCmdline("berth.overlay=tmpfs").overlay_size, "");
  for (const char* bad : {"tmpfs:", "tmpfs:x", "tmpfs:5T", "tmpfs:1,mode=0777", "tmpfs512M"}) {
    const Options options = ParseCmdline(std::string("berth.overlay=") + bad);
    EXPECT_EQ(options.overlay, Overlay::kAuto) << bad;
    EXPECT_EQ(options.mistakes.size(), 1u) << bad;
  }
}

TEST(ParseCmdline, HonoursTheKernelsOwnKeys) {
  const Options options = ParseCmdline("root=/dev/vda rootfstype=erofs ro quiet console=ttyS0");
  EXPECT_EQ(options.root, "/dev/vda");
  EXPECT_EQ(options.root_fstype, "erofs");
  EXPECT_TRUE(options.read_only);
  EXPECT_FALSE(ParseCmdline("ro rw").read_only);
}

TEST(ParseCmdline, BerthKeyWinsOverKernelKeyWhereverItStands) {
  EXPECT_EQ(ParseCmdline("berth.root=/dev/vda root=/dev/sda").root, "/dev/vda");
}

TEST(ParseCmdline, LastOfEqualKeysWins) {
  EXPECT_EQ(ParseCmdline("root=/dev/vda root=/dev/vdb").root, "/dev/vdb");
  const Options options = ParseCmdline("berth.overlay=/dev/vdb berth.overlay=none");
  EXPECT_EQ(options.overlay, Overlay::kNone);
  EXPECT_EQ(options.overlay_device, "");
}

TEST(ParseCmdline, NamesBadValues) {
  const Options options =
      ParseCmdline("berth.overlay=zfs berth.rootwait=soon berth.init=sbin/init foo=bar");
  EXPECT_THAT(options.mistakes,
              ElementsAre(HasSubstr("berth.overlay=zfs"), HasSubstr("berth.rootwait=soon"),
                          HasSubstr("berth.init=sbin/init")));
  EXPECT_EQ(options.overlay, Overlay::kAuto);
  EXPECT_EQ(options.root_wait, 10s);
  EXPECT_EQ(options.init, "");
}

TEST(ParseCmdline, PassesOnTheKeysOfTheConfigurationInTheirOrder) {
  const Options options = ParseCmdline(
      "berth.hostname=a quiet \"berth.service.web.args=['a b']\" berth.root=/dev/vda berth.rot=x "
      "berth.service.web.main");
  EXPECT_THAT(options.config_words,
              ElementsAre("berth.hostname=a", "berth.service.web.args=['a b']", "berth.rot=x",
                          "berth.service.web.main"));
  EXPECT_EQ(options.root, "/dev/vda");
  EXPECT_THAT(options.mistakes, IsEmpty());
}

TEST(ParseCmdline, EarlyKeysAreThoseOfTheTable) {
  EXPECT_THAT(EarlyKeys(), ElementsAre("root", "rootfstype", "rootflags", "rootwait", "overlay",
                                       "modules", "init", "agent", "timeline"));
}

TEST(ParseCmdline, RootWaitOutOfRangeIsRefused) {
  for (const char* text : {"berth.rootwait=-1", "berth.rootwait=3601", "berth.rootwait=",
                           "berth.rootwait=99999999999999", "berth.rootwait=5x"}) {
    const Options options = ParseCmdline(text);
    EXPECT_EQ(options.root_wait, 10s) << text;
    EXPECT_EQ(options.mistakes.size(), 1U) << text;
  }
}

TEST(ParseCmdline, CollectsModuleParametersWithDashesAsUnderscores) {
  const Options options = ParseCmdline("virtio-blk.queue_depth=64 nvme.x .y=1 z");
  ASSERT_EQ(options.module_parameters.size(), 2U);
  EXPECT_EQ(options.module_parameters[0].module, "virtio_blk");
  EXPECT_EQ(options.module_parameters[0].setting, "queue_depth=64");
  EXPECT_EQ(options.module_parameters[1].setting, "x");
}

}  // namespace
}  // namespace berth::init
