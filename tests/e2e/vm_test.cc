// SPDX-License-Identifier: Apache-2.0
//
// A VM's life from the outside: boot, stop, loss of each of its processes.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "tests/e2e/host.h"

namespace berth::e2e {
namespace {

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Kills one of the VM's processes, named as by Host::Pid.
bool Kill(Host& host, const std::string& vm, const std::string& which) {
  const pid_t pid = host.Pid(vm, which);
  return pid > 1 && kill(pid, SIGKILL) == 0;
}

bool WaitForState(Host& host, const std::string& vm, const std::string& state) {
  const Outcome outcome = host.Berth({"wait", vm, "--state", state, "--timeout", "60s"});
  EXPECT_EQ(outcome.code, 0) << outcome;
  return outcome.code == 0;
}

class Machine : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Qemu, Machine, testing::Values("microvm", "q35"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(Machine, BootsRunsACommandAndStopsCleanly) {
  Host host;
  host.Up("vm", "demo", {"--machine", GetParam()});
  EXPECT_EQ(host.State("vm"), "Running");
  const Outcome uname = host.Berth({"exec", "vm", "--", "uname", "-sr"});
  EXPECT_EQ(uname.code, 0) << uname;
  EXPECT_TRUE(uname.out.starts_with("Linux 6.1.")) << uname;
  const Outcome stopped = host.Berth({"stop", "vm"});
  EXPECT_EQ(stopped.code, 0) << stopped;
  EXPECT_EQ(host.State("vm"), "Stopped");
  // The guest took itself down in stages; nobody had to kill it.
  EXPECT_TRUE(ReadAll(host.VmDir("vm") + "/exit.json").contains("guest-shutdown"));
  EXPECT_EQ(AliveBelow(host.VmDir("vm")), "");
}

TEST_P(Machine, StartsAgainAfterAStop) {
  Host host;
  host.Up("vm", "demo", {"--machine", GetParam()});
  ASSERT_EQ(host.Berth({"stop", "vm"}).code, 0);
  const Outcome again = host.Berth({"start", "vm"});
  EXPECT_EQ(again.code, 0) << again;
  EXPECT_EQ(host.Berth({"exec", "vm", "--", "true"}).code, 0);
}

TEST_P(Machine, VsockWorksAgainAfterItsDeviceIsKilled) {
  Host host;
  host.Up("vm", "demo", {"--machine", GetParam()});
  auto events = host.StartBerth({"events", "-f", "--json"});
  for (int round = 1; round <= 3; ++round) {
    ASSERT_TRUE(Kill(host, "vm", "vsock_pid"));
    ASSERT_TRUE(events->WaitForOutput("\"count\":" + std::to_string(round), Deadline::In(60s)))
        << events->so_far();
    const Outcome outcome = host.Berth({"exec", "vm", "--", "echo", "back"});
    EXPECT_EQ(outcome.out, "back\n") << outcome;
  }
  EXPECT_EQ(host.State("vm"), "Running");
}

TEST_P(Machine, ASilentSessionEndsInTheGuestWhenItsDeviceIsKilled) {
  Host host;
  host.Up("vm", "demo", {"--machine", GetParam()});
  auto session = host.StartBerth({"exec", "vm", "--", "sh", "-c", "echo up; exec sleep 86400"});
  ASSERT_TRUE(session->WaitForOutput("up", Deadline::In(30s))) << session->so_far();
  const auto watch = [&](const std::string& condition) {
    return host.Berth({"exec", "--timeout", "30s", "vm", "--", "sh", "-c",
                       "until " + condition + "; do usleep 10000; done"});
  };
  const Outcome runs = watch("pidof sleep");
  ASSERT_EQ(runs.code, 0) << runs;
  ASSERT_TRUE(Kill(host, "vm", "vsock_pid"));
  EXPECT_NE(session->Wait(Deadline::In(30s)).code, 0);
  auto events = host.StartBerth({"events", "-f", "--json"});
  ASSERT_TRUE(events->WaitForOutput("\"count\":1", Deadline::In(60s))) << events->so_far();
  // Neither the program nor the agent writes: only a reset tells the guest.
  const Outcome ended = watch("! pidof sleep");
  EXPECT_EQ(ended.code, 0) << ended;
}

TEST_P(Machine, SessionsOutliveAPauseOfTheHypervisor) {
  Host host;
  host.Up("vm", "demo", {"--machine", GetParam()});
  auto session = host.StartBerth({"exec", "-i", "vm", "--", "cat"});
  session->WriteStdin("before\n");
  ASSERT_TRUE(session->WaitForOutput("before", Deadline::In(30s))) << session->so_far();
  const Outcome pause = host.Berth({"pause", "vm"});
  ASSERT_EQ(pause.code, 0) << pause;
  session->WriteStdin("during\n");
  ASSERT_EQ(host.Berth({"resume", "vm"}).code, 0);
  EXPECT_TRUE(session->WaitForOutput("during", Deadline::In(30s))) << session->so_far();
  const Outcome end = session->Wait(Deadline::In(30s));
  EXPECT_EQ(end.code, 0) << end;
  EXPECT_EQ(end.out, "before\nduring\n");
}

TEST(Vm, ShowsWhereTheTimeOfItsBootWent) {
  Host host;
  host.Up("vm");
  const auto boot = nlohmann::json::parse(host.Berth({"boot", "vm", "--json"}).out, nullptr, false);
  ASSERT_TRUE(boot.is_object() && boot.contains("phases")) << boot;
  double last = -1;
  std::vector<std::string> names;
  for (const auto& phase : boot["phases"]) {
    EXPECT_GE(phase["ms"].get<double>(), last) << boot;
    last = phase["ms"];
    names.push_back(phase["name"]);
  }
  for (const char* wanted :
       {"hypervisor exec", "kernel", "PID 1", "agent ready", "host saw Ready"}) {
    EXPECT_NE(std::ranges::find(names, wanted), names.end()) << wanted << " in " << boot;
  }
}

TEST(Vm, AGuestThatPowersItselfOffIsStopped) {
  Host host;
  host.Up("vm");
  host.Berth({"exec", "vm", "--", "kill", "-USR2", "1"});
  EXPECT_TRUE(WaitForState(host, "vm", "Stopped"));
}

TEST(Vm, AKilledHypervisorIsAFailureThatSaysSo) {
  Host host;
  host.Up("vm");
  ASSERT_TRUE(Kill(host, "vm", "hypervisor_pid"));
  EXPECT_TRUE(WaitForState(host, "vm", "Failed"));
  const Outcome status = host.Berth({"status", "vm"});
  EXPECT_TRUE(status.out.contains("SIGKILL")) << status;
  EXPECT_EQ(AliveBelow(host.VmDir("vm")), "");
}

TEST(Vm, AKilledShimTakesItsVmWithIt) {
  Host host;
  host.Up("vm");
  ASSERT_TRUE(Kill(host, "vm", "shim_pid"));
  EXPECT_TRUE(WaitForState(host, "vm", "Failed"));
  EXPECT_EQ(host.Berth({"start", "vm"}).code, 0);
  EXPECT_EQ(host.Berth({"exec", "vm", "--", "true"}).code, 0);
}

TEST(Vm, APanicOfTheRunningGuestIsAFailureWithItsLine) {
  Host host;
  host.Up("vm");
  host.Berth({"exec", "vm", "--", "sh", "-c", "echo c > /proc/sysrq-trigger"});
  EXPECT_TRUE(WaitForState(host, "vm", "Failed"));
  const Outcome status = host.Berth({"status", "vm"});
  EXPECT_TRUE(status.out.contains("panic")) << status;
}

TEST(Vm, AKilledAgentIsRestartedAndItsSessionsSaySo) {
  Host host;
  host.Up("vm");
  auto session = host.StartBerth({"exec", "vm", "--", "sh", "-c", "echo on; exec sleep 4321"});
  ASSERT_TRUE(session->WaitForOutput("on", Deadline::In(30s))) << session->so_far();
  host.Berth({"exec", "vm", "--", "sh", "-c", "kill -9 $(pidof berth-agent)"});
  const Outcome end = session->Wait(Deadline::In(60s));
  EXPECT_EQ(end.code, 125) << end;
  EXPECT_TRUE(end.err.contains("session")) << end;
  // PID 1 kept the listener: a connection made while the agent was gone waited in its backlog.
  const Outcome again = host.Berth({"exec", "vm", "--", "sh", "-c", "pidof sleep || echo gone"});
  EXPECT_EQ(again.out, "gone\n") << again;
}

TEST(Vm, RootfsBootsWithBerthInitAsSbinInit) {
  Host host;
  host.Up("vm", "sbin-init");
  const Outcome outcome = host.Berth({"exec", "vm", "--", "cat", "/proc/1/cmdline"});
  EXPECT_TRUE(outcome.out.starts_with("/sbin/init")) << outcome;
}

TEST(Vm, OverlayTakesWritesOverAReadOnlyErofs) {
  Host host;
  host.Up("vm");
  const Outcome outcome =
      host.Berth({"exec", "vm", "--", "sh", "-c",
                  "echo x > /etc/new && cat /etc/new && grep ' / ' /proc/mounts"});
  EXPECT_EQ(outcome.code, 0) << outcome;
  EXPECT_TRUE(outcome.out.contains("overlay")) << outcome;
}

TEST(Vm, RunExitsWithTheCommandsCodeAndLeavesNothing) {
  Host host;
  const Outcome outcome =
      host.Berth({"run", "--accel", "tcg", Image("demo"), "--", "sh", "-c", "echo ran; exit 9"});
  EXPECT_EQ(outcome.code, 9) << outcome;
  EXPECT_EQ(outcome.out, "ran\n");
  EXPECT_EQ(nlohmann::json::parse(host.Berth({"ps", "--json"}).out).size(), 0U);
}

TEST(Vm, AnInterruptedRunLeavesNothing) {
  Host host;
  auto run = host.StartBerth(
      {"run", "--accel", "tcg", Image("demo"), "--", "sh", "-c", "echo ran; exec sleep 4321"});
  ASSERT_TRUE(run->WaitForOutput("ran", Deadline::In(60s))) << run->so_far();
  run->Signal(SIGINT);
  const Outcome end = run->Wait(Deadline::In(60s));
  EXPECT_EQ(end.code, 130) << end;
  EXPECT_EQ(nlohmann::json::parse(host.Berth({"ps", "--json"}).out).size(), 0U);
}

TEST(Vm, TwoRunAtOnceWithoutKnowingOfEachOther) {
  Host host;
  host.Up("a");
  host.Up("b");
  EXPECT_EQ(host.Berth({"exec", "a", "--", "hostname"}).code, 0);
  EXPECT_EQ(host.Berth({"kill", "a"}).code, 0);
  EXPECT_EQ(host.Berth({"exec", "b", "--", "echo", "here"}).out, "here\n");
}

}  // namespace
}  // namespace berth::e2e
