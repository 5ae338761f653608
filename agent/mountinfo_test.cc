// SPDX-License-Identifier: Apache-2.0
#include "agent/mountinfo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::agent {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kTable =
    "21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
    "22 21 0:20 / /proc rw,nosuid - proc proc rw\n"
    "23 21 0:21 / /merged rw - overlay overlay rw,lowerdir=/l,upperdir=/u\n"
    "24 21 254:16 / /data\\040of\\134mine rw shared:2 master:3 - xfs /dev/vdb rw,attr2\n"
    "25 21 254:32 / /image ro - erofs /dev/vdc ro\n"
    "26 21 254:16 /sub /again ro - xfs /dev/vdb rw\n"
    "27 24 7:0 / /data\\040of\\134mine/loop rw - ext4 /dev/loop0 rw\n";

std::vector<std::string> PathsOf(const std::vector<MountRow>& rows) {
  std::vector<std::string> paths;
  for (const MountRow& row : rows) paths.push_back(row.path);
  return paths;
}

TEST(MountinfoTest, RowsAreReadWithTheirEscapesUndone) {
  const auto rows = ParseMountinfo(kTable);
  ASSERT_EQ(rows.size(), 7U);
  EXPECT_EQ(rows[3].path, "/data of\\mine");
  EXPECT_EQ(rows[3].device, "254:16");
  EXPECT_EQ(rows[3].type, "xfs");
  EXPECT_EQ(rows[3].source, "/dev/vdb");
  EXPECT_FALSE(rows[3].read_only);
  EXPECT_TRUE(rows[4].read_only);
  EXPECT_FALSE(rows[5].read_only) << "the mount is, its file system is not";
}

TEST(MountinfoTest, LinesThatAreNotWholeAreLeftOut) {
  EXPECT_THAT(ParseMountinfo(""), IsEmpty());
  EXPECT_THAT(ParseMountinfo("21 1 254:0 / / rw,relatime"), IsEmpty());
  EXPECT_THAT(ParseMountinfo("21 1 254:0 / relative rw - ext4 x rw\n\n-\n"), IsEmpty());
  EXPECT_THAT(ParseMountinfo("21 1 254:0 / /a\\000b rw - ext4 x rw\n"), IsEmpty());
}

TEST(BlockMountsTest, AreThoseOfBlockDevicesAndEachDeviceOnce) {
  const auto mounts = BlockMounts(
      ParseMountinfo("21 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
                     "22 21 0:20 / /proc rw shared:5 - proc proc rw\n"
                     "23 21 0:30 / /mnt/share rw - virtiofs share rw\n"
                     "24 21 0:31 / /mnt/nfs rw - nfs server:/x rw\n"
                     "25 21 254:16 / /mnt/my\\040disk rw shared:7 master:1 - erofs /dev/vdb ro\n"
                     "26 21 254:0 /sub /bind rw - ext4 /dev/vda rw\n"
                     "27 21 254:32 / /fuse rw - fuseblk /dev/vdc rw\n"));
  EXPECT_THAT(PathsOf(mounts), ElementsAre("/", "/mnt/my disk"));
}

TEST(PlanFreezeTest, EachWritableDeviceOnceTheLastMountedFirst) {
  const FreezePlan plan = PlanFreeze(ParseMountinfo(kTable));
  EXPECT_THAT(PathsOf(plan.freeze), ElementsAre("/data of\\mine/loop", "/again", "/"));
  ASSERT_EQ(plan.skipped.size(), 2U);
  EXPECT_EQ(plan.skipped[0].row.path, "/image");
  EXPECT_EQ(plan.skipped[0].why, "read-only");
  EXPECT_EQ(plan.skipped[1].row.type, "overlay");
}

}  // namespace
}  // namespace berth::agent
