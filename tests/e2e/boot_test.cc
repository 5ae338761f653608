// SPDX-License-Identifier: Apache-2.0
//
// What PID 1 does on its way up and at its worst: the disk of an overlay, and a crash of PID 1.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "protocol/base/unique_fd.h"
#include "tests/e2e/host.h"

namespace berth::e2e {
namespace {

constexpr off_t kMiB = 1 << 20;

std::string Disk(Host& host, const std::string& name, off_t bytes) {
  const std::string path = host.dir() + "/" + name;
  const UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  EXPECT_EQ(ftruncate(fd.get(), bytes), 0);
  return path;
}

std::vector<std::string> WithOverlayOn(const std::string& disk) {
  return {"--disk", disk, "--append", "berth.overlay=/dev/vdb"};
}

std::string Console(Host& host, const std::string& vm) { return host.Berth({"console", vm}).out; }

// The size in MiB of the file system that keeps the overlay's changes.
int UpperMiB(Host& host) {
  const Outcome df =
      host.Berth({"exec", "vm", "--", "sh", "-c",
                  "df -m /run/berth/upper | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2"});
  return atoi(df.out.c_str());  // NOLINT(cert-err34-c): 0 fails the test as it should
}

bool IsSound(const std::string& disk) {
  const std::string check = "PATH=$PATH:/usr/sbin:/sbin e2fsck -fn " + disk + " >/dev/null 2>&1";
  return std::system(check.c_str()) == 0;  // NOLINT(concurrency-mt-unsafe)
}

TEST(OverlayDisk, BlankIsFormattedKeepsItsDataAndGrows) {
  Host host;
  const std::string disk = Disk(host, "upper.img", 256 * kMiB);
  host.Up("vm", "demo", WithOverlayOn(disk));
  EXPECT_GT(UpperMiB(host), 220) << Console(host, "vm");
  ASSERT_EQ(host.Berth({"exec", "vm", "--", "sh", "-c", "echo kept >/root/note"}).code, 0);
  ASSERT_EQ(host.Berth({"stop", "vm"}).code, 0);
  EXPECT_TRUE(IsSound(disk));

  ASSERT_EQ(truncate(disk.c_str(), 1024 * kMiB), 0);
  ASSERT_EQ(host.Berth({"start", "vm"}).code, 0);
  EXPECT_EQ(host.Berth({"exec", "vm", "--", "cat", "/root/note"}).out, "kept\n");
  EXPECT_GT(UpperMiB(host), 900) << Console(host, "vm");
  ASSERT_EQ(host.Berth({"stop", "vm"}).code, 0);
  EXPECT_TRUE(IsSound(disk));
}

TEST(OverlayDisk, OfMoreThanItsDescriptorsHavePlaceForGrowsToo) {
  Host host;
  const std::string disk = Disk(host, "upper.img", 100 * 1024 * kMiB);
  host.Up("vm", "demo", WithOverlayOn(disk));
  EXPECT_GT(UpperMiB(host), 95 * 1024) << Console(host, "vm");
  ASSERT_EQ(host.Berth({"stop", "vm"}).code, 0);
  EXPECT_TRUE(IsSound(disk));
}

TEST(OverlayDisk, WithSomethingElseOnItIsNeverFormatted) {
  Host host;
  const std::string disk = Disk(host, "upper.img", 64 * kMiB);
  std::fstream(disk, std::ios::in | std::ios::out).seekp(64 * kMiB - 512) << "a partition table";
  ASSERT_EQ(host.Berth({"create", "vm", "--image", Image("demo"), "--accel", "tcg", "--disk", disk,
                        "--append", "berth.overlay=/dev/vdb"})
                .code,
            0);
  const Outcome started = host.Berth({"start", "vm"});
  EXPECT_NE(started.code, 0);
  EXPECT_NE(started.err.find("overlay: EINVAL (Invalid argument): /dev/vdb holds no"),
            std::string::npos)
      << started;
  std::string tail(17, '\0');
  std::ifstream(disk).seekg(64 * kMiB - 512).read(tail.data(), 17);
  EXPECT_EQ(tail, "a partition table");
}

TEST(Pid1, CrashSaysWhereOnTheConsoleAndPowersOff) {
  Host host;
  host.Up("vm");
  host.Berth({"exec", "vm", "--", "kill", "-SEGV", "1"});
  const Outcome ended = host.Berth({"wait", "vm", "--state", "Failed", "--timeout", "60s"});
  ASSERT_EQ(ended.code, 0) << ended;
  const Outcome status = host.Berth({"status", "vm"});
  EXPECT_NE(status.out.find("crash: SIGSEGV"), std::string::npos) << status;
  const std::string console = Console(host, "vm");
  EXPECT_NE(console.find("berth-init: fatal: crash: SIGSEGV"), std::string::npos) << console;
  EXPECT_NE(console.find(", build "), std::string::npos) << console;
  const size_t at = console.find("addr2line -Cfie berth-init.debug 0x");
  ASSERT_NE(at, std::string::npos) << console;
  const std::string command = console.substr(at, console.find_first_of("\r\n", at) - at);
  // The names that a developer would read out of the addresses.
  const std::string debug = std::string(BERTH_GUEST_BIN_DIR) + "/berth-init.debug";
  const std::string lookup =
      "llvm-addr2line-19 -Cfie " + debug + command.substr(command.find(" 0x"));
  FILE* pipe = popen(lookup.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string names;
  char line[512];
  while (fgets(line, sizeof(line), pipe) != nullptr) names += line;
  EXPECT_EQ(pclose(pipe), 0);
  EXPECT_NE(names.find("Supervisor::Run()"), std::string::npos) << command << "\n" << names;
  EXPECT_NE(names.find("main"), std::string::npos) << names;
}

}  // namespace
}  // namespace berth::e2e
