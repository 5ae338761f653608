// SPDX-License-Identifier: Apache-2.0
//
// A real root file system: Debian with PostgreSQL and nginx, supervised by berth-init, its changes
// on a disk of its own. The image is of tests/e2e/images/debian.
#include <gtest/gtest.h>
#include <stdlib.h>

#include "tests/e2e/host.h"

namespace berth::e2e {
namespace {

// Making the database takes an emulated guest a while.
constexpr auto kServicesTimeout = 400s;
constexpr const char* kDiskSize = "512M";

class Debian : public testing::Test {
 protected:
  Debian() {
    disk_ = host_.dir() + "/changes.img";
    const Outcome made =
        RunCommand({"sh", "-c",
                    "truncate -s " + std::string(kDiskSize) + " " + disk_ +
                        " && PATH=$PATH:/sbin:" + "/usr/sbin mke2fs -q -t ext4 " + disk_});
    EXPECT_EQ(made.code, 0) << made;
    host_.Up("vm", "debian",
             {"--memory", "512M", "--disk", disk_, "--append", "berth.overlay=/dev/vdb"});
  }

  Outcome InGuest(const std::string& script) {
    return host_.Berth({"exec", "--timeout", "380s", "vm", "--", "bash", "-c", script},
                       {.timeout = kServicesTimeout});
  }
  // The second word of a service's row is its state.
  static std::string StateIs(const std::string& service, const std::string& state) {
    return "[[ $(berth-init status " + service + " | awk 'NR == 2 { print $2 }') == " + state +
           " ]]";
  }
  void AwaitReady(const std::string& service) {
    const Outcome outcome = InGuest("until " + StateIs(service, "ready") + "; do ! " +
                                    StateIs(service, "failed") + " || exit 1; sleep 0.2; done");
    ASSERT_EQ(outcome.code, 0) << outcome << InGuest("berth-init status");
  }
  Outcome Psql(const std::string& sql) {
    return host_.Berth({"exec", "--user", "postgres", "vm", "--", "psql", "--no-psqlrc",
                        "--tuples-only", "--no-align", "-c", sql});
  }
  std::string Page() {
    const Outcome page =
        InGuest("exec 3<>/dev/tcp/127.0.0.1/80; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3");
    return page.out;
  }

  Host host_;
  std::string disk_;
};

TEST_F(Debian, ServesPagesKeepsOrderSurvivesKillsAndKeepsItsDataOverAStop) {
  AwaitReady("nginx");
  const Outcome all = InGuest("berth-init status");
  const std::string page = Page();
  EXPECT_TRUE(page.starts_with("HTTP/1.1 200 OK")) << page;
  // Written by a oneshot that needs PostgreSQL to answer; nginx came after it.
  EXPECT_TRUE(page.ends_with("\r\n\r\nboot 1\n")) << page << all;

  // Each runs as whom it should, in a cgroup with its limits.
  EXPECT_EQ(InGuest("stat -c %U /proc/$(pgrep -o postgres)").out, "postgres\n") << all;
  EXPECT_EQ(InGuest("stat -c %U /proc/$(pgrep -n nginx)").out, "www-data\n") << all;
  const Outcome limit = InGuest(
      "cat /sys/fs/cgroup$(cut -d: -f3 /proc/$(pgrep -o postgres)/cgroup)/{memory,pids}.max");
  EXPECT_EQ(limit.out, "201326592\n100\n") << limit;

  ASSERT_EQ(Psql("CREATE TABLE words (word text)").code, 0);
  ASSERT_EQ(Psql("INSERT INTO words VALUES ('kept')").code, 0);
  const Outcome killed = InGuest("pid=$(pgrep -o postgres); kill -9 $pid; echo $pid");
  ASSERT_EQ(killed.code, 0) << killed;
  const Outcome back = InGuest(
      "until new=$(pgrep -o postgres) && [[ $new != " + std::to_string(atoi(killed.out.c_str())) +
      " ]]; do sleep 0.05; done; until " + StateIs("postgres", "ready") + "; do sleep 0.1; done");
  EXPECT_EQ(back.code, 0) << back;
  // What was committed before the kill came through PostgreSQL's recovery.
  EXPECT_EQ(Psql("SELECT word FROM words").out, "kept\n");
  // One that only came after it was not disturbed.
  EXPECT_EQ(InGuest(StateIs("page", "done")).code, 0);

  ASSERT_EQ(InGuest("kill -9 $(cat /run/nginx.pid)").code, 0);
  AwaitReady("nginx");
  EXPECT_TRUE(Page().ends_with("boot 1\n"));

  const Outcome stopped = host_.Berth({"stop", "vm", "--timeout", "60s"});
  ASSERT_EQ(stopped.code, 0) << stopped;
  ASSERT_EQ(host_.State("vm"), "Stopped");
  // Unmounted, and not merely left.
  const Outcome check = RunCommand(
      {"sh", "-c", "PATH=$PATH:/sbin:/usr/sbin; e2fsck -fn " + disk_ + " && dumpe2fs -h " + disk_});
  EXPECT_EQ(check.code, 0) << check;
  EXPECT_FALSE(check.out.contains("needs_recovery")) << check;

  ASSERT_EQ(host_.Berth({"start", "vm"}).code, 0);
  AwaitReady("nginx");
  const std::string second = Page();
  EXPECT_TRUE(second.ends_with("\r\n\r\nboot 2\n")) << second;
  EXPECT_EQ(Psql("SELECT word FROM words").out, "kept\n");
  // It was shut down, not killed: there was nothing to recover.
  const Outcome log = host_.Berth({"console", "vm"});
  EXPECT_FALSE(log.out.contains("was not properly shut down")) << log;
}

}  // namespace
}  // namespace berth::e2e
