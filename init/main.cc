// SPDX-License-Identifier: Apache-2.0
//
// berth-init: PID 1 of a guest, from the first instruction in user space to the last. One process,
// one thread; it never exits. Boot() is the manual: what happens, in the order in which it does.
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "init/agent.h"
#include "init/apply.h"
#include "init/cmdline.h"
#include "init/command.h"
#include "init/config.h"
#include "init/config_decode.h"
#include "init/console.h"
#include "init/crash.h"
#include "init/guest_log.h"
#include "init/hand_over.h"
#include "init/listener.h"
#include "init/module_loader.h"
#include "init/mounts.h"
#include "init/network.h"
#include "init/phases.h"
#include "init/root.h"
#include "init/service_configure.h"
#include "init/supervise.h"
#include "init/uevent.h"
#include "protocol/base/io.h"
#include "protocol/base/log.h"

namespace berth::init {
namespace {

struct Machine {
  Options options;
  ConfigFile config_file;
  Config config;
  std::vector<std::string> mistakes;  // in it, all said
  std::string agent_path;
  UniqueFd listener;
  std::optional<LogPipeEnds> log;  // of PID 1's own lines
};

std::string AgentPath(const Options& options) {
  if (!options.agent.empty()) return options.agent;
  return access(kCarriedAgentPath, X_OK) == 0 ? kCarriedAgentPath : kAgentPath;
}

Result<Machine> Boot(BootPhases& phases) {
  BERTH_TRY(MountAll(kEarlyMounts));
  OpenConsole();
  // What is said from here on is in the log too, once there is one.
  auto log = OpenOwnLogPipe();
  if (log) TeeLog(log->write.get());
  BERTH_ASSIGN(const std::string cmdline, ReadFile("/proc/cmdline", kMaxCmdlineBytes));
  const Options options = ParseCmdline(cmdline);
  for (const std::string& mistake : options.mistakes) Warn(mistake);

  // Listening before the first driver is loaded: a device that appears is never missed.
  BERTH_ASSIGN(UeventSocket uevents, UeventSocket::Open());
  phases.Begin("modules");
  ModuleLoader modules = ModuleLoader::Open(options);
  modules.LoadListed(options);

  phases.Begin("root");
  BERTH_TRY(EnterRoot(options, modules, uevents, phases));
  if (!options.init.empty()) return std::unexpected(HandOver(options.init));

  phases.Begin("mounts");
  BERTH_TRY(MountAll(kMounts));
  BERTH_TRY(MakeTree(kDirs, kLinks));
  SetSysctls(kSysctls);

  phases.Begin("config");
  ConfigFile config_file = ReadConfigFile();
  auto [config, mistakes] = LoadConfig(options, config_file, /*configure=*/"");
  for (const std::string& mistake : mistakes) Warn(mistake);
  SetConsoleLevel(config.log.level);
  LoadModules(config, modules);
  SetSysctls(config);
  BERTH_TRY(MountConfigured(config, modules, uevents));
  AddUsers(config);
  WriteFiles(config);
  WriteAgentSettings(config);

  phases.Begin("network");
  if (auto named = SetHostname(config.hostname); !named) Warn(named.error());
  if (auto up = BringLoopbackUp(); !up) Warn(up.error());
  BERTH_TRY(SetNetworkUp(config.network, uevents));

  phases.Begin("listener");
  BERTH_ASSIGN(UniqueFd listener, OpenAgentListener(uevents));
  phases.Begin("agent");
  return Machine{options,
                 std::move(config_file),
                 std::move(config),
                 std::move(mistakes),
                 AgentPath(options),
                 std::move(listener),
                 log ? std::optional(std::move(*log)) : std::nullopt};
}

// The host's part of the configuration. Everything is decoded together and what is new is applied;
// the services that wait for it then start with it. What is refused changes no service, and may be
// sent again. No device or interface is waited for: PID 1 has other things to do by now.
Result<> TakeConfigure(Machine& machine, std::string_view text) {
  auto [fresh, mistakes] = LoadConfig(machine.options, machine.config_file, text);
  std::erase_if(mistakes, [&](const std::string& each) {
    return std::ranges::find(machine.mistakes, each) != machine.mistakes.end();
  });
  for (const std::string& mistake : mistakes) Warn(mistake);
  if (!mistakes.empty()) return Fail("configure", EINVAL, mistakes[0], "the console has them all");
  BERTH_TRY(CheckConfigured(machine.config, fresh));
  Config changes = Changes(machine.config, fresh);
  for (MountConfig& each : changes.mounts) each.wait = {};
  for (InterfaceConfig& each : changes.network.interfaces) each.wait = {};
  BERTH_ASSIGN(UeventSocket uevents, UeventSocket::Open());
  ModuleLoader modules = ModuleLoader::Open(machine.options);
  LoadModules(changes, modules);
  SetSysctls(changes);
  // What is mounted now is no change when the host tries again.
  BERTH_TRY(MountConfigured(changes, modules, uevents, &machine.config.mounts));
  AddUsers(changes);
  WriteFiles(changes);
  if (!changes.hostname.empty()) BERTH_TRY(SetHostname(changes.hostname));
  BERTH_TRY(SetNetworkUp(changes.network, uevents));
  TakeConfigured(machine.config, std::move(fresh));
  SetConsoleLevel(machine.config.log.level);
  WriteAgentSettings(machine.config);
  return {};
}

[[noreturn]] void RunAsPid1() {
  BootPhases phases;
  phases.Begin("pid1");
  InstallCrashHandler();
  BlockSignals();
  auto machine = Boot(phases);
  if (!machine) Fatal(machine.error());
  Supervisor supervisor(
      Agent(std::move(machine->agent_path), std::move(machine->listener)), std::move(machine->log),
      phases, machine->config,
      [&machine](std::string_view text) { return TakeConfigure(*machine, text); });
  if (auto started = supervisor.Start(); !started) Fatal(started.error());
  if (machine->options.timeline) Info("timeline in us: " + phases.Text());
  supervisor.Run();
}

}  // namespace
}  // namespace berth::init

int main(int argc, char* argv[]) {
  if (getpid() != 1) {
    return berth::init::RunCommand(std::span(argv, static_cast<size_t>(argc)));
  }
  berth::init::RunAsPid1();
}
