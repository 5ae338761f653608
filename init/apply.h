// SPDX-License-Identifier: Apache-2.0
//
// Makes the machine what init.toml asks for, section by section, in the order in which Boot() of
// main.cc calls them. A mistake of one row does not keep the next from being done: it is a warning,
// unless the row says that the machine cannot do without it.
#ifndef BERTH_INIT_APPLY_H_
#define BERTH_INIT_APPLY_H_

#include <string>
#include <string_view>

#include "init/config.h"
#include "init/module_loader.h"
#include "init/uevent.h"
#include "protocol/base/result.h"

namespace berth::init {

void LoadModules(const Config& config, ModuleLoader& modules);
void SetSysctls(const Config& config);

// Each mount, in the order of the file. The error of one that is `fatal`.
Result<> MountConfigured(const Config& config, ModuleLoader& modules, UeventSocket& uevents,
                         std::vector<MountConfig>* mounted = nullptr);

// Gives each user of init.toml that /etc/passwd and /etc/group lack a line there, so that the
// image's programs know the name too. Before the files, which may belong to them.
void AddUsers(const Config& config);
void WriteFiles(const Config& config);

// What the agent is told: the file that it reads at its start, and behind the host's Configure.
void WriteAgentSettings(const Config& config, const char* path = kAgentSettingsPath);

// What `after` asks for and `before` did not: its rows that are new or other than there. Services
// are left out. Pure.
Config Changes(const Config& before, const Config& after);

// "net.ipv4.conf.eth0/100.forwarding" -> "/proc/sys/net/ipv4/conf/eth0.100/forwarding", as
// sysctl(8) has it: a '/' in the name stands for a '.'.
std::string SysctlPath(std::string_view name);

// `passwd` and `group` with the lines that `users` need added; lines that are there stay. Pure.
struct AccountFiles {
  std::string passwd;
  std::string group;
};
AccountFiles WithUsers(AccountFiles files, const std::vector<UserConfig>& users);

}  // namespace berth::init

#endif  // BERTH_INIT_APPLY_H_
