// SPDX-License-Identifier: Apache-2.0
#include "init/finish.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

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

TEST(ReadMounts, TakesTheWholeLinesThatFit) {
  const std::string path = testing::TempDir() + "/mounts-" + std::to_string(getpid());
  std::ofstream(path) << "a /srv ext4 rw 0 0\nb /srv/data ext4 rw 0 0\n";
  EXPECT_EQ(ReadMounts(path.c_str(), 1000), "a /srv ext4 rw 0 0\nb /srv/data ext4 rw 0 0\n");
  EXPECT_EQ(ReadMounts(path.c_str(), 30), "a /srv ext4 rw 0 0\n");
  EXPECT_EQ(ReadMounts(path.c_str(), 5), "");
  unlink(path.c_str());
  EXPECT_EQ(ReadMounts(path.c_str(), 1000), "");
}

class DoInChildrenTest : public testing::Test {
 protected:
  DoInChildrenTest() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    EXPECT_EQ(pipe2(pipe_, O_CLOEXEC), 0);
  }
  ~DoInChildrenTest() override {
    close(pipe_[0]);
    close(pipe_[1]);
  }
  static void Tell() { EXPECT_EQ(write(pipe_[1], "x", 1), 1); }
  // As an unmount of a disk that is gone.
  static void Hang() {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
  }
  static int pipe_[2];
};
int DoInChildrenTest::pipe_[2];

TEST_F(DoInChildrenTest, EndsWhenAllHave) {
  void (*const works[])() = {Tell, Tell};
  EXPECT_TRUE(DoInChildren(works, Deadline::In(std::chrono::seconds(30))));
  char bytes[2];
  EXPECT_EQ(read(pipe_[0], bytes, 2), 2);
}

TEST_F(DoInChildrenTest, OneThatHangsCostsTheOthersNothing) {
  void (*const works[])() = {Hang, Tell};
  EXPECT_FALSE(DoInChildren(works, Deadline::In(std::chrono::milliseconds(50))));
  char byte = 0;
  EXPECT_EQ(read(pipe_[0], &byte, 1), 1);
}

TEST_F(DoInChildrenTest, WithoutAnyProcessEndsAtItsDeadline) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const pid_t child = fork();
  if (child == 0) {
    const rlimit none{0, 0};
    setrlimit(RLIMIT_NPROC, &none);
    if (setuid(54321) != 0) _exit(2);
    void (*const works[])() = {Tell};
    _exit(DoInChildren(works, Deadline::In(std::chrono::milliseconds(50))) ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace berth::init
