// SPDX-License-Identifier: Apache-2.0
//
// The shim as a program: real processes, scripts in place of hypervisor and vsock device.
#include "supervisor/shim/shim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "protocol/base/io.h"
#include "supervisor/shim/shim_rig.h"

namespace berth::shim {
namespace {

using testing::HasSubstr;

// A sanitizer's shadow would be measured too.
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kMeasuresMemory = false;
#else
constexpr bool kMeasuresMemory = true;
#endif
constexpr long kMaxRssKib = 2048;

class ShimTest : public testing::Test {
 protected:
  // The most memory the shim has had so far, and has it still: wait4 would count what its parent
  // had when it was spawned.
  void ExpectSmall() {
    const std::string path = "/proc/" + std::to_string(rig_.shim_pid()) + "/status";
    const std::string status = ReadFile(path.c_str(), 64 * 1024).value_or("");
    const size_t at = status.find("VmHWM:");
    ASSERT_NE(at, status.npos) << path;
    if (kMeasuresMemory) EXPECT_LE(std::stol(status.substr(at + 6)), kMaxRssKib);
  }
  ShimRig rig_;
};

TEST_F(ShimTest, WritesExitRecordBeforeItTellsClients) {
  rig_.Hypervisor("wait_go 1; event SHUTDOWN '{\"guest\":true,\"reason\":\"guest-shutdown\"}'");
  rig_.Start();
  RigClient client = rig_.Connect();
  const auto started = client.Expect<Started>();
  EXPECT_GT(started.pid, 0);
  EXPECT_GT(started.vsock_pid, 0);
  rig_.Go();
  const auto exited = client.Expect<ExitRecord>();
  const auto on_disk = ReadExitRecord(rig_.launch.paths.Exit());
  ASSERT_TRUE(on_disk.has_value()) << on_disk.error().Message();
  EXPECT_EQ(*on_disk, exited);
  EXPECT_EQ(exited.reason, ExitReason::kGuestShutdown);
  EXPECT_EQ(exited.code, 0);
  EXPECT_GT(exited.maxrss_kib, 0);
  EXPECT_EQ(client.Next().error().errnum, ECONNRESET);
  EXPECT_EQ(rig_.WaitForShim().wait_status, 0);
}

TEST_F(ShimTest, LeavesNoSocketBehind) {
  rig_.Hypervisor("exit 0");
  rig_.Start();
  rig_.WaitForShim();
  for (const std::string& path :
       {rig_.launch.paths.ShimSocket(), rig_.launch.paths.QmpSocket(),
        rig_.launch.paths.VhostSocket(), rig_.launch.paths.VsockSocket()}) {
    EXPECT_FALSE(std::filesystem::exists(path)) << path;
  }
}

TEST_F(ShimTest, ConsoleFloodStaysBounded) {
  rig_.Hypervisor(
      "wait_go 1; head -c 20000000 /dev/zero | tr '\\0' x; echo the end; echo noise >&2\n"
      "wait_go 2; wait_go 3; exit 3");
  rig_.Start();
  rig_.Connect().Expect<Started>();
  rig_.Go();
  rig_.Go(2);  // it has written all of it
  ExpectSmall();
  rig_.Go(3);
  rig_.WaitForShim();
  const std::string console = rig_.FileText(rig_.launch.paths.ConsoleLog());
  EXPECT_LE(console.size(), kConsoleLogBytes);
  EXPECT_EQ(rig_.FileText(rig_.launch.paths.ConsoleLog() + ".1").size(), kConsoleLogBytes);
  EXPECT_TRUE(console.ends_with("xxxthe end\n"));
  EXPECT_EQ(rig_.FileText(rig_.launch.paths.HypervisorLog()), "noise\n");
  EXPECT_EQ(ReadExitRecord(rig_.launch.paths.Exit())->code, 3);
}

TEST_F(ShimTest, MonitorFloodStaysBoundedAndHidesNothing) {
  rig_.Hypervisor(
      "wait_go 1; head -c 5000000 /dev/zero | tr '\\0' x >&$q; echo >&$q\n"
      "yes '{\"event\":' | head -n 100000 >&$q\n"
      "wait_go 2; wait_go 3\n"
      "event SHUTDOWN '{\"reason\":\"guest-reset\"}'");
  rig_.Start();
  RigClient client = rig_.Connect();
  client.Expect<Started>();
  rig_.Go();
  rig_.Go(2);  // it has written all of it
  ExpectSmall();
  client.Send(Encode(Op::kStatus));
  EXPECT_GT(client.Expect<Status>().qmp_dropped, 10'000U);
  rig_.Go(3);
  EXPECT_EQ(client.Expect<ExitRecord>().reason, ExitReason::kGuestReset);
}

TEST_F(ShimTest, VsockDeathIsRecovered) {
  rig_.Start();
  RigClient client = rig_.Connect();
  const auto started = client.Expect<Started>();
  ASSERT_EQ(kill(started.vsock_pid, SIGKILL), 0);
  const auto restarted = client.Expect<VsockRestarted>();
  EXPECT_EQ(restarted.count, 1U);
  EXPECT_NE(restarted.pid, started.vsock_pid);
  EXPECT_EQ(kill(restarted.pid, 0), 0);
  EXPECT_EQ(
      rig_.Commands(),
      "qmp_capabilities\nstop\nquery-chardev\nquery-chardev\nquery-chardev\nquery-chardev\ncont\n");
  // One that comes later learns the pids of now.
  RigClient later = rig_.Connect();
  EXPECT_EQ(later.Expect<Started>().vsock_pid, restarted.pid);
  later.Send(Encode(Op::kStatus));
  const auto status = later.Expect<Status>();
  EXPECT_EQ(status.vsock, VsockState::kUp);
  EXPECT_EQ(status.vsock_restarts, 1U);
  EXPECT_EQ(status.phase, Phase::kRunning);
  EXPECT_FALSE(status.paused);
}

TEST_F(ShimTest, VsockCrashLoopIsGivenUpAndTheVmRunsOn) {
  rig_.Device("ready; [ -e $dir/died ] || { touch $dir/died; wait_go 1; }; exit 1");
  rig_.Start();
  RigClient client = rig_.Connect();
  client.Expect<Started>();
  rig_.Go();
  auto event = client.Next();
  while (event && std::holds_alternative<VsockRestarted>(*event)) event = client.Next();
  ASSERT_TRUE(event && std::holds_alternative<VsockLost>(*event));
  client.Send(Encode(Op::kStatus));
  const auto status = client.Expect<Status>();
  EXPECT_EQ(status.vsock, VsockState::kLost);
  EXPECT_EQ(status.vsock_pid, 0);
  EXPECT_EQ(status.phase, Phase::kRunning);
  EXPECT_EQ(kill(status.pid, 0), 0);
  RigClient later = rig_.Connect();
  later.Expect<Started>();
  later.Expect<VsockLost>();
  client.Send(Encode(Op::kKill));
  EXPECT_EQ(client.Expect<ExitRecord>().reason, ExitReason::kKilled);
}

TEST_F(ShimTest, KillIsCarriedOutAndRecorded) {
  rig_.Start();
  RigClient client = rig_.Connect();
  const auto started = client.Expect<Started>();
  const UniqueFd device = OpenPidfd(started.vsock_pid);
  client.Send(Encode(Op::kKill));
  const auto exited = client.Expect<ExitRecord>();
  EXPECT_EQ(exited.signal, SIGKILL);
  EXPECT_EQ(exited.reason, ExitReason::kKilled);
  EXPECT_TRUE(exited.kill_requested);
  EXPECT_EQ(rig_.WaitForShim().wait_status, 0);
  EXPECT_TRUE(EndsInTime(device.get()));
}

TEST_F(ShimTest, TermEndsTheVmAndRecordsIt) {
  rig_.Start();
  rig_.Connect().Expect<Started>();
  kill(rig_.shim_pid(), SIGTERM);
  EXPECT_EQ(rig_.WaitForShim().wait_status, 0);
  const auto record = ReadExitRecord(rig_.launch.paths.Exit());
  ASSERT_TRUE(record.has_value());
  EXPECT_TRUE(record->kill_requested);
}

TEST_F(ShimTest, KilledShimTakesHypervisorAndDeviceWithIt) {
  rig_.Start();
  const auto started = rig_.Connect().Expect<Started>();
  const UniqueFd hypervisor = OpenPidfd(started.pid);
  const UniqueFd device = OpenPidfd(started.vsock_pid);
  kill(rig_.shim_pid(), SIGKILL);
  EXPECT_TRUE(EndsInTime(hypervisor.get()));
  EXPECT_TRUE(EndsInTime(device.get()));
}

TEST_F(ShimTest, ChildrenHoldNoDescriptorsButTheirOwn) {
  rig_.Hypervisor(
      "ls -l /proc/$$/fd > $dir/fds; grep -E 'NoNewPrivs|SigIgn' /proc/$$/status > $dir/status;"
      "ulimit -c >> $dir/status; env | sort > $dir/env; wait_go 1");
  rig_.Start();
  RigClient client = rig_.Connect();
  client.Expect<Started>();
  rig_.Go();
  client.Expect<ExitRecord>();
  const std::string fds = rig_.FileText(rig_.dir.path() + "/fds");
  EXPECT_THAT(fds, HasSubstr(" 5 -> socket:"));
  // 255 is bash's own, of the script.
  EXPECT_EQ(std::ranges::count(fds, '\n'), 1 + 6 + 1) << fds;
  const std::string status = rig_.FileText(rig_.dir.path() + "/status");
  EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t1"));
  EXPECT_TRUE(status.ends_with("\n0\n")) << status;
  EXPECT_THAT(rig_.FileText(rig_.dir.path() + "/env"), HasSubstr("LC_ALL=C\n"));
}

TEST_F(ShimTest, ClientThatNeverReadsIsDroppedAndOthersAreServed) {
  rig_.Start();
  RigClient good = rig_.Connect();
  good.Expect<Started>();
  RigClient bad = rig_.Connect();
  const std::string request = Encode(Op::kStatus);
  // Until the shim closes on it: its own queue and the socket's buffer are full by then.
  std::string many;
  for (int i = 0; i < 64; ++i) many += request;
  bool dropped = false;
  for (int i = 0; i < 1000 && !dropped; ++i) {
    dropped = !WriteFull(bad.fd(), many, Deadline::In(std::chrono::seconds(30))).has_value();
  }
  EXPECT_TRUE(dropped);
  good.Send(request);
  EXPECT_GE(good.Expect<Status>().clients_dropped, 1U);
}

TEST_F(ShimTest, NinthClientIsRefusedAndAPlaceThatIsLeftIsTakenAgain) {
  rig_.Start();
  std::vector<RigClient> clients;
  for (size_t i = 0; i < kMaxClients; ++i) {
    clients.push_back(rig_.Connect());
    clients.back().Expect<Started>();
  }
  RigClient ninth = rig_.Connect();
  ninth.Expect<RequestRefused>();
  EXPECT_EQ(ninth.Next().error().errnum, ECONNRESET);
  clients.pop_back();
  // The shim handles the two in the order in which they came.
  clients.front().Send(Encode(Op::kStatus));
  clients.front().Expect<Status>();
  rig_.Connect().Expect<Started>();
}

TEST_F(ShimTest, RequestsThatMakeNoSenseAreRefusedAndTheConnectionStays) {
  rig_.Start();
  RigClient client = rig_.Connect();
  client.Expect<Started>();
  client.Send("nonsense\n" + std::string(100'000, 'x') + "\n{\"op\":\"dance\"}\n");
  for (int i = 0; i < 3; ++i) client.Expect<RequestRefused>();
  client.Send(Encode(Op::kStatus));
  client.Expect<Status>();
}

TEST_F(ShimTest, MissingHypervisorFailsTheLaunch) {
  rig_.launch.hypervisor[0] = "/nonexistent/qemu";
  rig_.Start();
  // The shim may be gone before anybody connects: the record is there for those who come late.
  EXPECT_EQ(rig_.WaitForShim().wait_status, 0);
  const auto record = ReadExitRecord(rig_.launch.paths.Exit());
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->reason, ExitReason::kLaunchFailed);
  EXPECT_EQ(record->failure->step, "spawn-hypervisor");
  EXPECT_EQ(record->failure->errnum, ENOENT);
  EXPECT_THAT(record->failure->detail, HasSubstr("/nonexistent/qemu"));
}

TEST_F(ShimTest, HypervisorThatEndsAtOnceFailsTheLaunchWithItsLastWords) {
  rig_.dir.PutScript("fake-hypervisor", "#!/bin/sh\necho \"no such machine: $1\" >&2\nexit 1\n");
  rig_.Device("hang");
  rig_.Start();
  rig_.WaitForShim();
  const auto failure = ReadExitRecord(rig_.launch.paths.Exit())->failure;
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->step, "hypervisor-exit");
  EXPECT_THAT(failure->detail, HasSubstr("exit code 1: no such machine: 5"));
}

TEST_F(ShimTest, FailedLaunchIsToldToThoseWhoWait) {
  rig_.Device("wait_go 1; echo out of luck >&2; exit 7");
  rig_.Start();
  RigClient client = rig_.Connect();
  client.Send(Encode(Op::kStatus));
  EXPECT_EQ(client.Expect<Status>().phase, Phase::kLaunching);
  rig_.Go();
  const auto failure = client.Expect<Failure>();
  EXPECT_EQ(failure.step, "vsock-device");
  EXPECT_THAT(failure.detail, HasSubstr("exit code 7: out of luck"));
  EXPECT_TRUE(ReadExitRecord(rig_.launch.paths.Exit()).has_value());
}

TEST_F(ShimTest, DeviceThatIsNeverReadyFailsTheLaunchAtItsDeadline) {
  rig_.launch.launch_timeout = std::chrono::milliseconds(300);
  rig_.Device("hang");
  rig_.Start();
  RigClient client = rig_.Connect();
  const auto failure = client.Expect<Failure>();
  EXPECT_EQ(failure.step, "launch-deadline");
  EXPECT_THAT(failure.detail, HasSubstr("the vsock device is not ready"));
  rig_.WaitForShim();
}

TEST_F(ShimTest, DeviceThatEndsInPeaceDuringTheLaunchFailsItAllTheSame) {
  rig_.dir.PutScript("fake-hypervisor", "#!/bin/sh\nexec sleep 1000\n");
  rig_.Device("ready; exit 0");
  rig_.Start();
  EXPECT_EQ(rig_.Connect().Expect<Failure>().step, "vsock-device");
}

TEST_F(ShimTest, DeviceThatEndsInPeaceWhileTheHypervisorRunsIsRecovered) {
  rig_.Device("ready; [ -e $dir/ended ] || { touch $dir/ended; wait_go 1; exit 0; }; hang");
  rig_.Start();
  RigClient client = rig_.Connect();
  client.Expect<Started>();
  rig_.Go();
  client.Expect<VsockRestarted>();
}

TEST_F(ShimTest, MonitorThatDoesNotAnswerFailsTheLaunchAtItsDeadline) {
  rig_.launch.launch_timeout = std::chrono::milliseconds(300);
  rig_.dir.PutScript("fake-hypervisor", "#!/bin/sh\nexec sleep 1000\n");
  rig_.Start();
  EXPECT_THAT(rig_.Connect().Expect<Failure>().detail, HasSubstr("monitor does not answer"));
}

TEST_F(ShimTest, RecordThatCannotBeWrittenIsSaidByItsExitCode) {
  // A directory in the way of the temporary file: root is stopped by this too.
  ASSERT_TRUE(std::filesystem::create_directory(rig_.launch.paths.Exit() + ".new"));
  rig_.Hypervisor("exit 0");
  rig_.Start();
  const ShimRig::End end = rig_.WaitForShim();
  EXPECT_TRUE(WIFEXITED(end.wait_status));
  EXPECT_EQ(WEXITSTATUS(end.wait_status), 1);
  EXPECT_THAT(rig_.FileText(rig_.launch.paths.ShimLog()), HasSubstr("exit record"));
}

}  // namespace
}  // namespace berth::shim
