// SPDX-License-Identifier: Apache-2.0
#include "init/config_keys.h"

#include <sys/mount.h>

#include <algorithm>

#include "protocol/base/log_ring.h"

namespace berth::init {
namespace {

// --- Top level. ---

void ReadHostname(ConfigReader& reader, const ConfigNode& node, std::string& out) {
  const bool fits = IsName(node.text) && !node.text.contains('@') && !node.text.contains('_');
  if (!fits) return reader.Wrong(node, "not a host name: letters, digits, - and ., up to 63");
  out = node.text;
}

void ReadModules(ConfigReader& reader, const ConfigNode& node, std::vector<std::string>& out) {
  for (const ConfigNode& item : node.items) {
    if (!reader.Expect(item, kStringNode, "a text")) continue;
    if (!IsName(item.text)) {
      reader.Wrong(item, "not the name of a module");
    } else {
      out.push_back(item.text);
    }
  }
}

using Sysctls = std::vector<std::pair<std::string, std::string>>;

void ReadSysctlsUnder(ConfigReader& reader, const ConfigNode& table, const std::string& prefix,
                      Sysctls& out) {
  for (const ConfigNode& item : table.items) {
    const ConfigReader::Path path(reader, item.key);
    const std::string name = prefix + item.key;
    // It becomes a path below /proc/sys.
    const bool fits = !item.key.empty() && !item.key.starts_with('.') &&
                      !item.key.starts_with('/') && !item.key.contains("..") &&
                      std::ranges::all_of(item.key, [](char c) { return c > ' ' && c < 0x7F; });
    std::string value;
    if (!fits) {
      reader.Mistake(item.key_place, "not the name of a sysctl");
    } else if (item.kind == kTableNode) {
      ReadSysctlsUnder(reader, item, name + ".", out);
    } else if (ReadScalar(reader, item, value)) {
      if (item.kind == kBooleanNode) value = item.boolean ? "1" : "0";
      out.emplace_back(name, std::move(value));
    }
  }
}

void ReadSysctls(ConfigReader& reader, const ConfigNode& node, Sysctls& out) {
  ReadSysctlsUnder(reader, node, "", out);
}

// --- Mounts. ---

void ReadTarget(ConfigReader& reader, const ConfigNode& node, std::string& out) {
  auto path = ParsePath(node.text);
  if (!path) return reader.Wrong(node, path.error());
  while (path->size() > 1 && path->ends_with('/')) path->pop_back();
  if (*path == "/") return reader.Wrong(node, "the root, which the kernel command line chooses");
  out = std::move(*path);
}

void ReadMountOptions(ConfigReader& reader, const ConfigNode& node, MountConfig& mount) {
  std::vector<std::string> texts;
  ReadTexts(reader, node, texts);
  for (const std::string_view text : texts) {
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find(',', at), text.size());
      const std::string_view option = text.substr(at, end - at);
      at = end + 1;
      if (const MountFlag* flag = FindMountFlag(option)) {
        mount.flags = (mount.flags & ~flag->clear) | flag->set;
      } else if (!option.empty()) {
        if (!mount.data.empty()) mount.data += ',';
        mount.data += option;
      }
    }
  }
}

void ReadFormat(ConfigReader& reader, const ConfigNode& node, bool& if_blank) {
  static constexpr std::string_view kWords[] = {"never", "if-blank"};
  if_blank = ReadChoice(reader, node, kWords) == 1;
}

void CheckMount(ConfigReader& reader, const ConfigNode& node, MountConfig& mount) {
  if (node.syntax_mistake >= 0) return;  // what is missing may be what could not be read
  const ConfigNode* source = node.Find("source");
  const bool bind = (mount.flags & MS_BIND) != 0;
  const bool device = mount.source.starts_with("/dev/");
  if (source == nullptr) {
    if (!IsNodevType(mount.type)) reader.Mistake(node, "no \"source\", which it needs");
    mount.source = mount.type;
  } else if (mount.type.empty() && !bind && !device && !mount.source.empty()) {
    reader.Mistake(node, "no \"type\": it can be told from a device alone");
  }
  if (bind && !mount.data.empty()) {
    const ConfigReader::Path path(reader, "options");
    reader.Mistake(node.Find("options")->key_place,
                   Quoted(mount.data) + " is for a file system, and a bind mounts none");
  }
  if (!mount.format_if_blank) return;
  if (!device || (!mount.type.empty() && mount.type != "ext4")) {
    const ConfigReader::Path path(reader, "format");
    reader.Mistake(node.Find("format")->key_place, "only an ext4 on a device can be made");
  }
}

// Two units with the same text at `name`: the second is a mistake.
void CheckTwice(ConfigReader& reader, const ConfigNode& list, const ConfigNode& item,
                std::string_view name) {
  const ConfigNode* mine = item.Find(name);
  if (mine == nullptr || mine->kind != kStringNode) return;
  const auto trimmed = [](std::string_view text) {
    while (text.size() > 1 && text.ends_with('/')) text.remove_suffix(1);
    return text;
  };
  for (const ConfigNode& other : list.items) {
    if (&other == &item) return;
    const ConfigNode* its = other.Find(name);
    if (its == nullptr || trimmed(its->text) != trimmed(mine->text)) continue;
    const ConfigReader::Path path(reader, name);
    return reader.Wrong(*mine, "there already, in line " + std::to_string(its->place.line));
  }
}

void ReadMounts(ConfigReader& reader, const ConfigKey& key, const ConfigNode& node, void* out) {
  auto& mounts = static_cast<Config*>(out)->mounts;
  for (const ConfigNode& item : node.items) {
    if (!reader.Expect(item, kTableNode, "a table")) continue;
    MountConfig mount;
    const size_t before = reader.mistakes();
    CheckTwice(reader, node, item, "target");
    int mistake = ReadUnit(reader, key, item, mount, CheckMount);
    if (reader.mistakes() != before) mistake = static_cast<int>(before);
    if (mistake < 0) {
      mounts.push_back(std::move(mount));
    } else if (mount.fatal) {
      // What services would write belongs on it.
      reader.BlockServices(static_cast<size_t>(mistake));
    }
  }
}

constexpr ConfigKey kMountKeys[] = {
    {"source", kStringNode, "a text", "(the type, where it needs none)",
     "`/dev/vdb`, the tag of a virtiofs, the directory to bind",
     Field<&MountConfig::source, ReadText>},
    {.name = "target",
     .kinds = kStringNode,
     .type = "a path",
     .fallback = "",
     .meaning = "where; it is made where it is missing",
     .decode = Field<&MountConfig::target, ReadTarget>,
     .required = true},
    {"type", kStringNode, "a text", "(told from the device)", "the file system",
     Field<&MountConfig::type, ReadText>},
    {"options", kListNodes, "a list of texts", "[]",
     "`ro`, `nosuid`, `nodev`, `noexec`, `noatime`, `bind` …, and those of the file system: "
     "`size=64M`",
     Whole<MountConfig, ReadMountOptions>},
    {"fatal", kBooleanNode, "true or false", "true", "a failure ends the machine",
     Field<&MountConfig::fatal, ReadBool>},
    {"format", kStringNode, "a text", "\"never\"",
     "`if-blank`: an ext4 is made on a device that holds nothing but zeros; `never`",
     Field<&MountConfig::format_if_blank, ReadFormat>},
    {"wait", kDurationNodes, "a duration", "\"10s\"", "for a device to appear",
     Field<&MountConfig::wait, ReadDuration<0>>},
};

// --- Files and users. ---

void ReadFileOwner(ConfigReader& reader, const ConfigNode& node, std::string& out) {
  const size_t colon = node.text.find(':');
  const std::string_view text = node.text;
  if (!IsName(text.substr(0, colon)) ||
      (colon != std::string_view::npos && !IsName(text.substr(colon + 1)))) {
    return reader.Wrong(node, "not an owner such as \"user\" or \"user:group\"");
  }
  out = node.text;
}

void ReadFiles(ConfigReader& reader, const ConfigKey& key, const ConfigNode& node, void* out) {
  auto& files = static_cast<Config*>(out)->files;
  for (const ConfigNode& item : node.items) {
    if (!reader.Expect(item, kTableNode, "a table")) continue;
    FileConfig file;
    const size_t before = reader.mistakes();
    CheckTwice(reader, node, item, "path");
    if (ReadUnit(reader, key, item, file) < 0 && reader.mistakes() == before) {
      files.push_back(std::move(file));
    }
  }
}

constexpr ConfigKey kFileKeys[] = {
    {.name = "path",
     .kinds = kStringNode,
     .type = "a path",
     .fallback = "",
     .meaning = "where; directories that are missing are made",
     .decode = Field<&FileConfig::path, ReadPath>,
     .required = true},
    {"content", kStringNode, "a text", "\"\"", "what the file holds",
     Field<&FileConfig::content, ReadText>},
    {"mode", kStringNode, "a mode", "\"0644\"", "its permissions, in octal digits",
     Field<&FileConfig::mode, ReadMode>},
    {"owner", kStringNode, "a text", "(root)", "`user` or `user:group`, names or numbers",
     Field<&FileConfig::owner, ReadFileOwner>},
};

void CheckUser(ConfigReader& reader, const ConfigNode& node, UserConfig& user) {
  if (!IsName(user.name) || user.name.contains('@')) {
    reader.Mistake(node.key_place, "not a name of a user");
  }
  if (node.Find("gid") == nullptr) user.gid = user.uid;
}

constexpr int64_t kMaxUid = UINT32_MAX - 1;
constexpr ConfigKey kUserKeys[] = {
    {.name = "uid",
     .kinds = kIntegerNode,
     .type = "an integer",
     .fallback = "",
     .meaning = "its number",
     .decode = Field<&UserConfig::uid, ReadInteger<0, kMaxUid, uid_t>>,
     .required = true},
    {"gid", kIntegerNode, "an integer", "(the uid)", "its primary group's number",
     Field<&UserConfig::gid, ReadInteger<0, kMaxUid, gid_t>>},
    {"groups", kListNodes, "a list of names", "[]", "its other groups",
     Field<&UserConfig::groups, ReadNames>},
    {"home", kStringNode, "a path", "\"/\"", "its home directory",
     Field<&UserConfig::home, ReadPath>},
    {"shell", kStringNode, "a path", "\"/bin/sh\"", "its shell",
     Field<&UserConfig::shell, ReadPath>},
};

// --- Services (their keys: config_service_keys.cc) and shutdown. ---

void ReadServices(ConfigReader& reader, const ConfigKey& key, const ConfigNode& node, void* out) {
  auto& services = static_cast<Config*>(out)->services;
  for (const ConfigNode& item : node.items) {
    const ConfigReader::Path path(reader, item.key);
    if (!reader.Expect(item, kTableNode, "a table")) continue;
    if (!IsName(item.key)) {
      reader.Mistake(item.key_place, "not a name of a service: letters, digits, _ - . @, up to 63");
      continue;
    }
    if (services.size() == kMaxServices) {
      reader.Mistake(item.key_place, "more than " + std::to_string(kMaxServices) + " services");
      break;
    }
    ServiceConfig service;
    service.name = item.key;
    const int mistake = ReadUnit(reader, key, item, service, CheckService);
    if (mistake >= 0) service.mistake = reader.Line(static_cast<size_t>(mistake));
    services.push_back(std::move(service));
  }
}

constexpr ConfigKey kShutdownKeys[] = {
    {"grace", kDurationNodes, "a duration", "\"10s\"",
     "from SIGTERM to SIGKILL, for all services together",
     Field<&ShutdownConfig::grace, ReadDuration<0>>},
    {"agent_wait", kDurationNodes, "a duration", "\"1s\"",
     "for the agent to tell the host how all ended",
     Field<&ShutdownConfig::agent_wait, ReadDuration<0>>},
    {"kill_wait", kDurationNodes, "a duration", "\"2s\"", "for what was killed to be gone",
     Field<&ShutdownConfig::kill_wait, ReadDuration<0>>},
    {"finish_wait", kDurationNodes, "a duration", "\"20s\"", "for unmounts and sync",
     Field<&ShutdownConfig::finish_wait, ReadDuration<0>>},
};

void ReadLogLevel(ConfigReader& reader, const ConfigNode& node, LogLevel& level) {
  static constexpr std::string_view kWords[] = {"info", "warning", "error"};
  const int chosen = ReadChoice(reader, node, kWords);
  if (chosen >= 0) level = static_cast<LogLevel>(chosen);  // in the order of LogLevel
}

// What MakeLogRing takes (protocol/base/log_ring.h).
void ReadRingSize(ConfigReader& reader, const ConfigNode& node, uint64_t& out) {
  uint64_t bytes = out;
  const size_t before = reader.mistakes();
  ReadSize(reader, node, bytes);
  if (reader.mistakes() != before) return;
  if (bytes < kMinLogRingBytes || bytes > kMaxLogRingBytes) {
    return reader.Mistake(node, "not from 256K to 1G");
  }
  out = bytes;
}

constexpr ConfigKey kLogKeys[] = {
    {"level", kStringNode, "a text", "\"info\"",
     "the least that it says: `info`, `warning` or `error`; a fatal line always comes",
     Field<&LogConfig::level, ReadLogLevel>},
    {"lines_per_minute", kIntegerNode, "an integer", "10",
     "about one service, errors not counted; more are counted and left out",
     Field<&LogConfig::lines_per_minute, ReadInteger<1, 1000, int>>},
    {"ring", kDurationNodes, "a size", "\"4M\"",
     "how much of the log the guest keeps for the host, 256K to 1G",
     Field<&LogConfig::ring_bytes, ReadRingSize>},
    {"syslog", kBooleanNode, "true or false", "true",
     "PID 1 makes `/dev/log`, where there is none, for programs that use syslog(3)",
     Field<&LogConfig::syslog, ReadBool>},
};

constexpr ConfigKey kTimeKeys[] = {
    {"sync", kBooleanNode, "true or false", "true",
     "the host sets the clock: at boot, and where it is off after a pause",
     Field<&TimeConfig::sync, ReadBool>},
};

constexpr ConfigKey kRootKeys[] = {
    {"hostname", kStringNode, "a text", "(the first word of `/etc/hostname`, else `localhost`)",
     "the host name", Field<&Config::hostname, ReadHostname>},
    {"modules", kArrayNode, "a list of texts", "[]",
     "kernel modules to load once the root file system is there",
     Field<&Config::modules, ReadModules>},
    {"configure_timeout", kDurationNodes, "a duration", "\"5s\"",
     "from boot; then services with `wait_for_configure` start without it",
     Field<&Config::configure_timeout, ReadDuration<0>>},
    {.name = "environment",
     .kinds = kTableNode,
     .type = "a table",
     .fallback = "{}",
     .meaning = "a variable of every service",
     .decode = Field<&Config::environment, ReadEnvironment>,
     .each = "VARIABLE",
     .each_kinds = kScalarNodes},
    {.name = "sysctl",
     .kinds = kTableNode,
     .type = "a table",
     .fallback = "{}",
     .meaning = "a kernel setting, `net.ipv4.ip_forward = 1`, quoted or not; true and false are "
                "1 and 0",
     .decode = Field<&Config::sysctls, ReadSysctls>,
     .each = "NAME",
     .each_kinds = kScalarNodes},
    {.name = "mount",
     .kinds = kArrayNode,
     .type = "an array of tables",
     .fallback = "[]",
     .meaning = "a mount",
     .decode = ReadMounts,
     .keys = kMountKeys},
    {.name = "network",
     .kinds = kTableNode,
     .type = "a table",
     .fallback = "{}",
     .meaning = "the network",
     .decode = Part<&Config::network>,
     .keys = kNetworkKeys},
    {.name = "file",
     .kinds = kArrayNode,
     .type = "an array of tables",
     .fallback = "[]",
     .meaning = "a file that is written at boot",
     .decode = ReadFiles,
     .keys = kFileKeys},
    {.name = "user",
     .kinds = kTableNode,
     .type = "a table",
     .fallback = "{}",
     .meaning = "a user that is made where it is missing",
     .decode = Named<&Config::users, CheckUser>,
     .keys = kUserKeys,
     .each = "NAME"},
    {.name = "service",
     .kinds = kTableNode,
     .type = "a table",
     .fallback = "{}",
     .meaning = "a service",
     .decode = ReadServices,
     .keys = kServiceKeys,
     .each = "NAME"},
    {.name = "health",
     .kinds = kTableNode,
     .type = "a table",
     .fallback = "{}",
     .meaning = "a health check of the machine, run by the agent: one of `exec`, `tcp`, `http`, "
                "`file`",
     .decode = ReadHealthChecks,
     .keys = kHealthCheckKeys,
     .each = "NAME"},
    {.name = "time",
     .kinds = kTableNode,
     .type = "a table",
     .fallback = "{}",
     .meaning = "the clock",
     .decode = Part<&Config::time>,
     .keys = kTimeKeys},
    {.name = "shutdown",
     .kinds = kTableNode,
     .type = "a table",
     .fallback = "{}",
     .meaning = "how long the stages of a shutdown may take",
     .decode = Part<&Config::shutdown>,
     .keys = kShutdownKeys},
    {.name = "log",
     .kinds = kTableNode,
     .type = "a table",
     .fallback = "{}",
     .meaning = "the guest's log, and what PID 1 itself says",
     .decode = Part<&Config::log>,
     .keys = kLogKeys},
};

}  // namespace

std::span<const ConfigKey> ConfigKeys() { return kRootKeys; }

ConfigKinds ConfigKindsAt(std::span<const std::string_view> path) {
  std::span<const ConfigKey> keys = kRootKeys;
  for (size_t i = 0; i < path.size(); ++i) {
    const auto key = std::ranges::find(keys, path[i], &ConfigKey::name);
    if (key == keys.end()) return 0;
    if (i + 1 == path.size()) return key->kinds;
    if (key->each_kinds != 0) return key->each_kinds;
    if (!key->each.empty() && ++i + 1 == path.size()) return kTableNode;
    keys = key->keys;
  }
  return 0;
}

}  // namespace berth::init
