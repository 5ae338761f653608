// SPDX-License-Identifier: Apache-2.0
//
// PID 1 in bad company: services that do not stop or do not start, disks that are missing, a host
// that is silent, thousands of orphans. The configurations are tests/e2e/images/init.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/e2e/bare_vm.h"
#include "tests/e2e/host.h"

namespace berth::e2e {
namespace {

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Outcome InGuest(Host& host, const std::string& script) {
  return host.Berth({"exec", "--timeout", "90s", "vm", "--", "sh", "-c", script});
}

// Waits in the guest until the shell's `condition` holds.
Outcome AwaitInGuest(Host& host, const std::string& condition) {
  return InGuest(host, "until " + condition + "; do usleep 50000; done");
}

TEST(Init, ReapsTenThousandOrphansAndAnswersMeanwhile) {
  Host host;
  host.Up("vm", "init-services");
  const Outcome outcome = host.Berth({"exec", "--timeout", "220s", "vm", "--", "e2e-orphans",
                                      "10000", "400", "/sbin/berth-init", "status"},
                                     {.timeout = 240s});
  EXPECT_EQ(outcome.code, 0) << outcome;
  EXPECT_TRUE(outcome.out.contains("orphans 10000 ")) << outcome;
  EXPECT_TRUE(outcome.out.contains(" zombies 0\n")) << outcome;
  std::istringstream words(
      outcome.out.substr(std::min(outcome.out.find("slowest_ms"), outcome.out.size())));
  std::string label;
  long slowest_ms = -1;
  words >> label >> slowest_ms;
  // A status takes some 30 ms; PID 1 that dealt with all orphans of a batch first would take
  // longer.
  EXPECT_GE(slowest_ms, 0) << outcome;
  EXPECT_LT(slowest_ms, 2000) << outcome;
}

TEST(Init, BindsDirectoriesAndFilesWithTheirOptions) {
  Host host;
  host.Up("vm", "init-services");
  EXPECT_EQ(InGuest(host, "echo x >/mnt/etc/written && cat /etc/written").out, "x\n");
  const Outcome file =
      InGuest(host, "cat /mnt/name; (echo x >>/mnt/name) 2>&1; grep ' /mnt/name ' /proc/mounts");
  EXPECT_TRUE(file.out.starts_with("demo\n")) << file;
  EXPECT_TRUE(file.out.contains("Read-only file system")) << file;
  EXPECT_TRUE(file.out.contains("ro,nosuid")) << file;
  EXPECT_EQ(InGuest(host, "echo still >>/etc/hostname").code, 0);
}

TEST(Init, AServiceThatIgnoresSigtermIsKilledAfterItsTimeout) {
  Host host;
  host.Up("vm", "init-services");
  ASSERT_EQ(AwaitInGuest(host, "berth-init status stubborn | grep -q ready").code, 0);
  const Outcome stop = InGuest(host, "time -f %e berth-init stop stubborn");
  EXPECT_EQ(stop.code, 0) << stop;
  // Not before its second is over, and not much later.
  const double seconds =
      atof(stop.err.substr(stop.err.find_last_not_of("0123456789.\n") + 1).c_str());
  EXPECT_GE(seconds, 1.0) << stop;
  EXPECT_LT(seconds, 8.0) << stop;
  EXPECT_NE(InGuest(host,
                    "pgrep -f 'sleep 4321' | xargs -n1 sh -c 'grep -q stubborn "
                    "/proc/$0/cgroup && exit 255'")
                .code,
            255);
  EXPECT_TRUE(InGuest(host, "berth-init status stubborn").out.contains("signal 9"));
}

TEST(Init, AServiceThatIgnoresSigtermDoesNotKeepTheMachine) {
  Host host;
  host.Up("vm", "init-services");
  ASSERT_EQ(AwaitInGuest(host, "berth-init status stubborn | grep -q ready").code, 0);
  const Outcome stopped = host.Berth({"stop", "vm"});
  EXPECT_EQ(stopped.code, 0) << stopped;
  EXPECT_EQ(host.State("vm"), "Stopped");
  EXPECT_TRUE(ReadAll(host.VmDir("vm") + "/exit.json").contains("guest-shutdown"));
}

TEST(Init, ACrashLoopEndsAtItsBudgetAndFailsWhatRequiresIt) {
  Host host;
  host.Up("vm", "init-services");
  ASSERT_EQ(AwaitInGuest(host, "berth-init status crasher | grep -q failed").code, 0);
  const Outcome runs = InGuest(host, "wc -l </run/crashes");
  EXPECT_EQ(runs.out, "5\n") << runs;
  const Outcome all = InGuest(host, "berth-init status");
  EXPECT_TRUE(InGuest(host, "berth-init status dependent | grep -q failed").code == 0) << all;
  EXPECT_TRUE(InGuest(host, "berth-init status bystander | grep -q ready").code == 0) << all;
  // An operator may try again.
  EXPECT_NE(InGuest(host, "berth-init start crasher").code, 0);
  EXPECT_EQ(InGuest(host, "test $(wc -l </run/crashes) -gt 5").code, 0);
}

TEST(Init, ACrashLoopCanEndTheMachine) {
  if (GuestIsSanitized()) GTEST_SKIP() << "the loop is over before such an agent is up";
  Host host;
  host.Up("vm", "init-crash-shutdown");
  const Outcome outcome =
      host.Berth({"wait", "vm", "--state", "Stopped", "--state", "Failed", "--timeout", "60s"});
  const Outcome status = host.Berth({"status", "vm"});
  EXPECT_EQ(outcome.code, 0) << outcome << status;
  EXPECT_TRUE(ReadAll(host.VmDir("vm") + "/console.log").contains("vital")) << status;
}

TEST(Init, AMountThatTheMachineCanDoWithoutIsAWarning) {
  Host host;
  host.Up("vm", "init-services");
  const Outcome mounts = InGuest(host, "grep -E ' /(data|scratch) ' /proc/mounts");
  EXPECT_TRUE(mounts.out.contains("/scratch tmpfs")) << mounts;
  EXPECT_FALSE(mounts.out.contains("/data")) << mounts;
  const std::string console = ReadAll(host.VmDir("vm") + "/console.log");
  EXPECT_TRUE(console.contains("/dev/vdz")) << console;
}

TEST(Init, AMountThatItCannotDoWithoutEndsTheMachine) {
  Host host;
  const Outcome created =
      host.Berth({"create", "vm", "--image", Image("init-fatal-mount"), "--accel", "tcg"});
  ASSERT_EQ(created.code, 0) << created;
  const Outcome started = host.Berth({"start", "vm"});
  EXPECT_NE(started.code, 0) << started;
  const Outcome status = host.Berth({"status", "vm"});
  EXPECT_TRUE((started.err + status.out).contains("berth-init: fatal: ")) << started << status;
  EXPECT_TRUE((started.err + status.out).contains("/dev/vdz")) << started << status;
}

// "…mistakes.toml:LINE:COLUMN: …" of each mistake, as lines.
std::vector<int> LinesNamed(const std::string& text) {
  std::vector<int> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    const size_t at = line.find(".toml:");
    if (at != std::string::npos) lines.push_back(atoi(line.c_str() + at + 6));
  }
  return lines;
}

// The lines of the configuration that say "# N" at their end, N = 1 … 20.
std::vector<int> LinesOfMistakes(const std::string& path) {
  std::vector<int> lines;
  std::ifstream file(path);
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    const size_t at = line.rfind("  # ");
    if (at != std::string::npos && isdigit(static_cast<unsigned char>(line[at + 4])) != 0) {
      lines.push_back(number);
    }
  }
  return lines;
}

TEST(Init, CheckNamesTwentyMistakesByLine) {
  const std::string config = SourceDir() + "/tests/e2e/images/init/mistakes.toml";
  const std::vector<int> wanted = LinesOfMistakes(config);
  ASSERT_EQ(wanted.size(), 20U);
  const Outcome check = RunCommand({GuestBinDir() + "/berth-init", "--check", config});
  EXPECT_NE(check.code, 0) << check;
  std::vector<int> named = LinesNamed(check.out + check.err);
  std::ranges::sort(named);
  EXPECT_EQ(named, wanted) << check;
  // An unknown key comes with the nearest known one.
  EXPECT_TRUE((check.out + check.err).contains("\"restart\"")) << check;
}

TEST(Init, CheckPassesTheConfigurationsOfTheOtherTests) {
  const std::string images = SourceDir() + "/tests/e2e/images";
  for (const char* name :
       {"/init/services.toml", "/init/dhcp.toml", "/init/job.toml", "/init/fatal-mount.toml",
        "/init/unreachable.toml", "/init/crash-shutdown.toml", "/debian/init.toml"}) {
    const Outcome check = RunCommand({GuestBinDir() + "/berth-init", "--check", images + name});
    EXPECT_EQ(check.code, 0) << name << ": " << check;
  }
}

TEST(Init, TwentyMistakesDoNotKeepAGoodServiceFromRunning) {
  Host host;
  host.Up("vm", "init-mistakes");
  EXPECT_EQ(AwaitInGuest(host, "berth-init status good | grep -q ready").code, 0);
  const Outcome all = InGuest(host, "berth-init status");
  for (const char* broken : {"program", "nothing", "near", "lonely", "egg", "hen"}) {
    EXPECT_EQ(InGuest(host, std::string("berth-init status ") + broken + " | grep -q failed").code,
              0)
        << broken << " in " << all;
  }
  const std::string console = ReadAll(host.VmDir("vm") + "/console.log");
  // Named once as they are read, and again by each service that they keep from starting.
  std::vector<int> named = LinesNamed(console);
  std::ranges::sort(named);
  named.erase(std::ranges::unique(named).begin(), named.end());
  EXPECT_EQ(named, LinesOfMistakes(SourceDir() + "/tests/e2e/images/init/mistakes.toml"))
      << console;
}

TEST(Init, AConnectionOverVsockStartsTheServiceThatListensThere) {
  Host host;
  host.Up("vm", "init-services");
  ASSERT_EQ(AwaitInGuest(host, "berth-init status called | grep -q waiting").code, 0);
  // In the dialect of the vsock device: docs/vsock.md. The guest's kernel takes the connection.
  const UniqueFd call = Converse(host.VmDir("vm") + "/vsock.sock", "CONNECT 7000\n", "OK ");
  EXPECT_EQ(AwaitInGuest(host, "berth-init status called | grep -q ready").code, 0);
}

TEST(Init, AMainThatEndsAtOnceIsHeardAllTheSame) {
  if (GuestIsSanitized()) GTEST_SKIP() << "no guest waits as long as such an agent takes";
  Host host;
  const Outcome run = host.Berth({"run", "--accel", "tcg", Image("init-job")});
  EXPECT_EQ(run.code, 3) << run;
}

// --- With nobody to talk to: QEMU alone, no berthd. ---

TEST(Init, ServicesStartWhereNoHostAnswers) {
  BareVm vm(Image("init-unreachable"), BareVm::Vsock::kNobodyListens);
  EXPECT_TRUE(vm.qemu().WaitForOutput("late ran, its host silent", Deadline::In(60s)))
      << vm.qemu().so_far();
  // The main service's end is the machine's.
  EXPECT_EQ(vm.qemu().Wait(Deadline::In(60s)).code, 0) << vm.qemu().so_far();
  EXPECT_TRUE(vm.qemu().so_far().out.contains("early runs"));
}

TEST(Init, ADhcpClientOfTheImageGetsItsAddress) {
  BareVm vm(Image("init-dhcp"), BareVm::Vsock::kNobodyListens,
            {"-netdev", "user,id=n0", "-device", "virtio-net-device,netdev=n0"});
  EXPECT_TRUE(vm.qemu().WaitForOutput("online: the main service has ended", Deadline::In(60s)))
      << vm.qemu().so_far();
  EXPECT_TRUE(vm.qemu().so_far().out.contains("inet 10.0.2.15/24")) << vm.qemu().so_far();
  EXPECT_TRUE(vm.qemu().so_far().out.contains("default via 10.0.2.2")) << vm.qemu().so_far();
  EXPECT_EQ(vm.qemu().Wait(Deadline::In(60s)).code, 0) << vm.qemu().so_far();
}

TEST(Init, ThePowerButtonEndsTheMachineInStages) {
  BareVm vm(Image("init-services"), BareVm::Vsock::kNobodyListens);
  ASSERT_TRUE(vm.qemu().WaitForOutput("crasher: failed", Deadline::In(60s))) << vm.qemu().so_far();
  vm.PressPowerButton();
  EXPECT_TRUE(vm.qemu().WaitForOutput("asked by the power button", Deadline::In(60s)))
      << vm.qemu().so_far();
  EXPECT_EQ(vm.qemu().Wait(Deadline::In(60s)).code, 0) << vm.qemu().so_far();
}

// Nobody could ever reach it, so it does not run on unseen (docs/init.md): its console says why.
TEST(Init, AMachineWithoutVsockDeviceSaysSoAndEnds) {
  BareVm vm(Image("init-unreachable"), BareVm::Vsock::kNone);
  EXPECT_TRUE(vm.qemu().WaitForOutput("berth-init: fatal: listener: ENODEV", Deadline::In(60s)))
      << vm.qemu().so_far();
  EXPECT_EQ(vm.qemu().Wait(Deadline::In(60s)).code, 0) << vm.qemu().so_far();
}

}  // namespace
}  // namespace berth::e2e
