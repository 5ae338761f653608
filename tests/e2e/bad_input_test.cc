// SPDX-License-Identifier: Apache-2.0
//
// Each mistake and each breakage gives one clear error (what, which step, errno, what to do) and a
// non-zero exit code, and leaves the VM in the right state with nothing leaked: Host's destructor
// looks for leaks.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "protocol/base/result.h"
#include "tests/e2e/host.h"

namespace berth::e2e {
namespace {

// The exit codes of docs/operators.md.
constexpr int kUnknownVm = 3;
constexpr int kWrongState = 4;
constexpr int kDaemonUnreachable = 5;
constexpr int kNotPermitted = 6;
constexpr int kStartFailed = 7;
constexpr int kBerthFailedInExec = 125;

void ExpectOneClearError(const Outcome& outcome, std::initializer_list<const char*> says) {
  EXPECT_NE(outcome.code, 0) << outcome;
  EXPECT_TRUE(outcome.err.starts_with("berth: ")) << outcome;
  for (const char* text : says)
    EXPECT_TRUE(outcome.err.contains(text)) << text << " in " << outcome;
}

Outcome CreateAndStart(Host& host, const std::string& image,
                       std::vector<std::string> options = {}) {
  std::vector<std::string> create = {"create", "vm", "--image", image, "--accel", "tcg"};
  create.insert(create.end(), options.begin(), options.end());
  Outcome created = host.Berth(create);
  if (created.code != 0) return created;
  return host.Berth({"start", "vm"});
}

TEST(BadInput, AnUnknownVmIsNamed) {
  Host host;
  for (const char* command : {"start", "stop", "kill", "rm", "status"}) {
    const Outcome outcome = host.Berth({command, "nobody"});
    EXPECT_EQ(outcome.code, kUnknownVm) << command << outcome;
    ExpectOneClearError(outcome, {"nobody"});
  }
  EXPECT_EQ(host.Berth({"exec", "nobody", "--", "true"}).code, kBerthFailedInExec);
}

TEST(BadInput, ExecInAStoppedVmNamesItsState) {
  Host host;
  ASSERT_EQ(host.Berth({"create", "vm", "--image", Image("demo"), "--accel", "tcg"}).code, 0);
  const Outcome outcome = host.Berth({"exec", "vm", "--", "true"});
  EXPECT_EQ(outcome.code, kBerthFailedInExec);
  ExpectOneClearError(outcome, {"Pending", "berth start"});
}

TEST(BadInput, RemovingARunningVmIsRefusedAndHarmless) {
  Host host;
  host.Up("vm");
  const Outcome outcome = host.Berth({"rm", "vm"});
  EXPECT_EQ(outcome.code, kWrongState) << outcome;
  ExpectOneClearError(outcome, {"Running"});
  EXPECT_EQ(host.Berth({"exec", "vm", "--", "true"}).code, 0);
}

TEST(BadInput, ADeadAgentIsAnErrorWithinItsDeadline) {
  Host host;
  host.Up("vm");
  host.Berth({"exec", "vm", "--", "sh", "-c", "kill -STOP $(pidof berth-agent)"}, {.timeout = 5s});
  const Outcome outcome = host.Berth({"exec", "vm", "--", "true"});
  EXPECT_EQ(outcome.code, kBerthFailedInExec) << outcome;
  EXPECT_FALSE(outcome.timed_out);
  ExpectOneClearError(outcome, {"ETIMEDOUT", "agent"});
  EXPECT_EQ(host.State("vm"), "Running");
}

TEST(BadInput, AKernelThatPanicsIsToldWithItsLine) {
  Host host;
  const Outcome outcome = CreateAndStart(host, Image("no-initrd"));
  EXPECT_EQ(outcome.code, kStartFailed) << outcome;
  ExpectOneClearError(outcome, {"Kernel panic - not syncing", "VFS"});
  EXPECT_EQ(host.State("vm"), "StartFailed");
}

TEST(BadInput, AKernelThatNeverReachesPid1IsToldAfterTheDeadline) {
  Host host;
  // It waits for a root device that never comes.
  const Outcome outcome = CreateAndStart(
      host, Image("no-initrd"), {"--append", "root=/dev/vdz rootwait", "--ready-timeout", "8s"});
  EXPECT_EQ(outcome.code, kStartFailed) << outcome;
  ExpectOneClearError(outcome, {"8 s", "console"});
  EXPECT_EQ(host.State("vm"), "StartFailed");
  EXPECT_EQ(AliveBelow(host.VmDir("vm")), "");
}

TEST(BadInput, AGuestWithoutVsockIsToldByItsPid1) {
  Host host;
  const Outcome outcome = CreateAndStart(host, Image("no-vsock"));
  EXPECT_EQ(outcome.code, kStartFailed) << outcome;
  ExpectOneClearError(outcome, {"berth-init: fatal: ", "vsock"});
  EXPECT_EQ(host.State("vm"), "StartFailed");
}

TEST(BadInput, AnAgentOfAnotherGenerationIsRefusedWithBothNamed) {
  Host host;
  const Outcome outcome = CreateAndStart(host, Image("future-agent"));
  EXPECT_EQ(outcome.code, kStartFailed) << outcome;
  ExpectOneClearError(outcome, {"EPROTONOSUPPORT", "generation 1", "99"});
  EXPECT_EQ(host.State("vm"), "StartFailed");
}

TEST(BadInput, AMissingImageIsNamed) {
  Host host;
  ExpectOneClearError(CreateAndStart(host, "/no/such/image"), {"/no/such/image", "ENOENT"});
}

TEST(BadInput, ADirectoryThatIsNoImageIsNamed) {
  Host host;
  ExpectOneClearError(CreateAndStart(host, "/etc"), {"/etc", "image.json"});
}

TEST(BadInput, AKernelThatIsNoKernelIsNamed) {
  Host host;
  const std::string dir = host.dir() + "/image";
  std::filesystem::copy(Image("demo"), dir, std::filesystem::copy_options::recursive);
  std::ofstream(dir + "/vmlinuz", std::ios::trunc) << "not a kernel";
  ExpectOneClearError(CreateAndStart(host, dir), {"vmlinuz"});
}

TEST(BadInput, NoDaemonIsAnErrorThatSaysHowToStartIt) {
  const Outcome outcome =
      RunCommand({BinDir() + "/berth", "--socket", "/tmp/no-such-berth.sock", "ps"});
  EXPECT_EQ(outcome.code, kDaemonUnreachable) << outcome;
  ExpectOneClearError(outcome, {"/tmp/no-such-berth.sock", "ENOENT", "berthd"});
}

TEST(BadInput, ASocketOfAnotherUserIsNotPermitted) {
  Host host;
  ASSERT_EQ(chmod(host.dir().c_str(), 0755), 0);
  // The tree may stand below a directory that is closed to other users: a copy does not.
  const std::string berth = host.dir() + "/berth";
  std::filesystem::copy_file(BinDir() + "/berth", berth);
  const Outcome outcome = RunCommand({berth, "--socket", host.socket(), "ps"}, {.uid = 65534});
  EXPECT_EQ(outcome.code, kNotPermitted) << outcome;
  ExpectOneClearError(outcome, {"EACCES", host.socket().c_str()});
}

TEST(BadInput, AFullDiskIsToldAndNothingIsHalfCreated) {
  std::string dir = "/tmp/be2e-full-XXXXXX";
  ASSERT_NE(mkdtemp(dir.data()), nullptr);
  ASSERT_EQ(mount("tmpfs", dir.c_str(), "tmpfs", 0, "size=256k"), 0) << ErrnoName(errno);
  {
    Host host(dir);
    std::ofstream filler(dir + "/filler", std::ios::binary);
    filler << std::string(1 << 20, 'x') << std::flush;
    const Outcome outcome = CreateAndStart(host, Image("demo"));
    ExpectOneClearError(outcome, {"ENOSPC"});
    filler.close();
    std::filesystem::remove(dir + "/filler");
    const Outcome again = host.Berth({"ps", "-q"});
    EXPECT_EQ(again.code, 0) << again;
  }
  EXPECT_EQ(umount(dir.c_str()), 0) << ErrnoName(errno);
  rmdir(dir.c_str());
}

TEST(BadInput, ASecondDaemonOnTheSameStateIsRefused) {
  Host host;
  const Outcome second = RunCommand({BinDir() + "/berthd", "--state-dir", host.dir() + "/s",
                                     "--socket", host.dir() + "/other.sock"});
  EXPECT_NE(second.code, 0);
  EXPECT_TRUE(second.err.contains("another berthd")) << second;
}

TEST(BadInput, EveryMistakeOfACreateIsNamedAtOnce) {
  Host host;
  const Outcome outcome = host.Berth(
      {"create", "bad name!", "--image", Image("demo"), "--memory", "1", "--vcpus", "0"});
  ExpectOneClearError(outcome, {"name", "memory", "vcpus"});
}

}  // namespace
}  // namespace berth::e2e
