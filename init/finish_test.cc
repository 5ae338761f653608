// SPDX-License-Identifier: Apache-2.0
#include "init/finish.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::init {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(TakedownOrder, GoesBackwardsAndLeavesTheRootAndWhatItStandsOnForLast) {
  EXPECT_THAT(TakedownOrder("/dev/vdb /run/berth/upper ext4 rw 0 0\n"
                            "/dev/vde /early ext4 rw 0 0\n"
                            "overlay / overlay rw,lowerdir=x 0 0\n"
                            "devtmpfs /dev devtmpfs rw 0 0\n"
                            "proc /proc proc rw 0 0\n"
                            "tmpfs /run tmpfs rw 0 0\n"
                            "/dev/vdc /srv xfs rw 0 0\n"
                            "/dev/vdd /srv/data ext4 rw 0 0\n"),
              ElementsAre(MountEntry{"/srv/data", "ext4"}, MountEntry{"/srv", "xfs"},
                          MountEntry{"/early", "ext4"}, MountEntry{"/", "overlay"},
                          MountEntry{"/run/berth/upper", "ext4"}));
}

TEST(TakedownOrder, LeavesOutWhatHoldsNothingUnwritten) {
  EXPECT_THAT(TakedownOrder("rootfs / rootfs rw 0 0\n/dev/vda / erofs ro 0 0\n"
                            "tmpfs /tmp tmpfs rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"),
              IsEmpty());
}

TEST(TakedownOrder, UndoesTheKernelsEscapes) {
  EXPECT_THAT(TakedownOrder("/dev/vdb /srv/a\\040b\\134c\\04 ext4 rw 0 0\n"),
              ElementsAre(MountEntry{"/srv/a b\\c\\04", "ext4"}));
}

TEST(TakedownOrder, SurvivesHalfLines) {
  EXPECT_THAT(TakedownOrder("\n\nx\nx y\n x y\n/dev/vdb /srv ext4"),
              ElementsAre(MountEntry{"/srv", "ext4"}, MountEntry{"x", "y"}, MountEntry{"y", ""}));
}

}  // namespace
}  // namespace berth::init
