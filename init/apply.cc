// SPDX-License-Identifier: Apache-2.0
#include "init/apply.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <type_traits>

#include "init/console.h"
#include "init/filesystem.h"
#include "init/mounts.h"
#include "protocol/base/io.h"
#include "protocol/base/users.h"

namespace berth::init {
namespace {

constexpr const char* kPasswd = "/etc/passwd";
constexpr const char* kGroup = "/etc/group";
constexpr size_t kMaxAccountsBytes = 4 * 1024 * 1024;

// Whether a line of passwd(5) or group(5) begins with the name, or has the number in field 3.
bool HasLine(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    if (line.starts_with(name) && line.substr(name.size()).starts_with(':')) return true;
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return false;
}

void AddLine(std::string& text, const std::string& line) {
  if (!text.empty() && !text.ends_with('\n')) text += '\n';
  text += line + '\n';
}

// Adds `member` to the last field of the group's line.
void AddMember(std::string& text, const std::string& group, const std::string& member) {
  const std::string start = group + ":";
  size_t at = 0;
  while (text.compare(at, start.size(), start) != 0) {
    at = text.find('\n', at);
    if (at == std::string::npos) return;
    ++at;
  }
  const size_t end = std::min(text.find('\n', at), text.size());
  const size_t members = text.rfind(':', end) + 1;
  const std::string list = "," + text.substr(members, end - members) + ",";
  if (list.find("," + member + ",") != std::string::npos) return;
  text.insert(end, (members == end ? "" : ",") + member);
}

// Empty where there is none. One that cannot be read is not to be replaced either.
Result<std::string> ReadAccounts(const char* path) {
  auto text = ReadFile(path, kMaxAccountsBytes);
  if (!text && text.error().errnum == ENOENT) return std::string();
  return text;
}

Result<> WriteOne(const FileConfig& file) {
  const size_t slash = file.path.rfind('/');
  if (slash > 0) BERTH_TRY(MakeDirs(file.path.substr(0, slash), 0755));
  FileOwner owner;
  if (!file.owner.empty()) {
    const size_t colon = std::min(file.owner.find(':'), file.owner.size());
    const std::string_view group =
        std::string_view(file.owner).substr(std::min(colon + 1, file.owner.size()));
    BERTH_ASSIGN(
        const Account who,
        ResolveAccount(
            {.user = std::string_view(file.owner).substr(0, colon), .group = group, .groups = {}}));
    owner = {who.uid, who.gid};
  }
  return WriteFileAtomic(file.path, file.content, file.mode, owner);
}

}  // namespace

Config Changes(const Config& before, const Config& after) {
  const auto new_of = [](const auto& had, const auto& rows) {
    std::remove_cvref_t<decltype(rows)> fresh;
    for (const auto& row : rows) {
      if (std::ranges::find(had, row) == had.end()) fresh.push_back(row);
    }
    return fresh;
  };
  Config changes;
  if (after.hostname != before.hostname) changes.hostname = after.hostname;
  changes.modules = new_of(before.modules, after.modules);
  changes.sysctls = new_of(before.sysctls, after.sysctls);
  changes.mounts = new_of(before.mounts, after.mounts);
  changes.users = new_of(before.users, after.users);
  changes.files = new_of(before.files, after.files);
  if (after.network != before.network) {
    changes.network = after.network;
    changes.network.interfaces = new_of(before.network.interfaces, after.network.interfaces);
  }
  return changes;
}

void LoadModules(const Config& config, ModuleLoader& modules) {
  for (const std::string& name : config.modules) {
    if (auto loaded = modules.Load(name); !loaded) Warn(loaded.error());
  }
}

std::string SysctlPath(std::string_view name) {
  std::string path = "/proc/sys/";
  for (const char c : name) path += c == '.' ? '/' : c == '/' ? '.' : c;
  return path;
}

void SetSysctls(const Config& config) {
  for (const auto& [name, value] : config.sysctls) {
    auto set = WriteKnob(SysctlPath(name).c_str(), value);
    if (set) continue;
    Warn(Error{"sysctl", set.error().errnum, name + " = " + value,
               set.error().errnum == ENOENT ? "this kernel does not have it" : ""});
  }
}

Result<> MountConfigured(const Config& config, ModuleLoader& modules, UeventSocket& uevents,
                         std::vector<MountConfig>* mounted_too) {
  for (const MountConfig& row : config.mounts) {
    const Filesystem what{.step = "mount",
                          .source = row.source,
                          .type = row.type,
                          .target = row.target,
                          .flags = row.flags,
                          .data = row.data,
                          .format_if_blank = row.format_if_blank,
                          .wait = row.wait};
    auto mounted = MountFilesystem(what, modules, uevents);
    if (mounted && mounted_too != nullptr) mounted_too->push_back(row);
    if (mounted) continue;
    if (row.fatal) return mounted;
    Warn(mounted.error());
  }
  return {};
}

AccountFiles WithUsers(AccountFiles files, const std::vector<UserConfig>& users) {
  for (const UserConfig& user : users) {
    const std::string gid = std::to_string(user.gid);
    if (!HasLine(files.passwd, user.name)) {
      AddLine(files.passwd, user.name + ":x:" + std::to_string(user.uid) + ":" + gid +
                                "::" + user.home + ":" + user.shell);
    }
    // A user's own group has its name, as useradd(8) makes it.
    if (user.gid != 0 && !HasLine(files.group, user.name)) {
      AddLine(files.group, user.name + ":x:" + gid + ":");
    }
    for (const std::string& group : user.groups) AddMember(files.group, group, user.name);
  }
  return files;
}

void AddUsers(const Config& config) {
  if (config.users.empty()) return;
  auto passwd = ReadAccounts(kPasswd);
  auto group = ReadAccounts(kGroup);
  if (!passwd) return Warn(passwd.error());
  if (!group) return Warn(group.error());
  const AccountFiles before{std::move(*passwd), std::move(*group)};
  const AccountFiles after = WithUsers(before, config.users);
  constexpr unsigned kMode = 0644;
  if (after.group != before.group) {
    if (auto written = WriteFileAtomic(kGroup, after.group, kMode); !written) {
      Warn(written.error());
    }
  }
  if (after.passwd != before.passwd) {
    if (auto written = WriteFileAtomic(kPasswd, after.passwd, kMode); !written) {
      Warn(written.error());
    }
  }
}

void WriteAgentSettings(const Config& config, const char* path) {
  constexpr unsigned kMode = 0600;
  const std::string bytes =
      EncodeAgentSettings({.host_sets_clock = config.time.sync, .checks = config.checks});
  if (auto written = WriteFileAtomic(path, bytes, kMode); !written) Warn(written.error());
}

void WriteFiles(const Config& config) {
  for (const FileConfig& file : config.files) {
    if (auto written = WriteOne(file); !written) Warn(written.error());
  }
}

}  // namespace berth::init
