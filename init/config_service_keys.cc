// SPDX-License-Identifier: Apache-2.0
//
// The keys of [service.NAME], and what they mean together.
#include <algorithm>

#include "init/config_keys.h"

namespace berth::init {
namespace {

// --- Readiness and health: both look with a probe. ---

Probe& ProbeOf(ReadyConfig& ready) { return ready.probe ? *ready.probe : ready.probe.emplace(); }
Probe& ProbeOf(HealthConfig& health) { return health.probe; }

template <typename T>
void ReadProbePort(ConfigReader& reader, const ConfigNode& node, T& out) {
  Probe& probe = ProbeOf(out);
  probe.kind = Probe::Kind::kPort;
  ReadInteger<1, 65535>(reader, node, probe.port);
}

template <typename T>
void ReadProbeFile(ConfigReader& reader, const ConfigNode& node, T& out) {
  Probe& probe = ProbeOf(out);
  probe.kind = Probe::Kind::kFile;
  ReadPath(reader, node, probe.path);
}

template <typename T>
void ReadProbeExec(ConfigReader& reader, const ConfigNode& node, T& out) {
  Probe& probe = ProbeOf(out);
  probe.kind = Probe::Kind::kExec;
  ReadArgv(reader, node, probe.exec);
}

template <typename T>
void ReadProbeAddress(ConfigReader& reader, const ConfigNode& node, T& out) {
  const auto family = ParseAddress(node.text);
  if (!family) return reader.Wrong(node, family.error());
  ProbeOf(out).address = node.text;
}

void CheckProbe(ConfigReader& reader, const ConfigNode& node) {
  const ConfigNode* first = nullptr;
  for (const ConfigNode& item : node.items) {
    if (item.key == "notify" && item.kind == kBooleanNode && !item.boolean) continue;
    if (item.key != "notify" && item.key != "port" && item.key != "file" && item.key != "exec") {
      continue;
    }
    if (first != nullptr) {
      const ConfigReader::Path path(reader, item.key);
      reader.Mistake(item.key_place, "there is \"" + first->key + "\" already; one is looked at");
    } else {
      first = &item;
    }
  }
  const ConfigNode* address = node.Find("address");
  if (address != nullptr && node.Find("port") == nullptr) {
    const ConfigReader::Path path(reader, "address");
    reader.Mistake(address->key_place, "needs a \"port\"");
  }
}

void ReadReady(ConfigReader& reader, const ConfigKey& key, const ConfigNode& node, void* out) {
  reader.ReadTable(node, key.keys, &static_cast<ServiceConfig*>(out)->ready);
  CheckProbe(reader, node);
}

void ReadHealth(ConfigReader& reader, const ConfigKey& key, const ConfigNode& node, void* out) {
  HealthConfig& health = static_cast<ServiceConfig*>(out)->health.emplace();
  reader.ReadTable(node, key.keys, &health);
  CheckProbe(reader, node);
  const auto looks = [&node](std::string_view name) { return node.Find(name) != nullptr; };
  if (!looks("port") && !looks("file") && !looks("exec") && node.syntax_mistake < 0) {
    reader.Mistake(node, "needs one of \"port\", \"file\" and \"exec\"");
  }
}

void ReadHealthAction(ConfigReader& reader, const ConfigNode& node, bool& restart) {
  static constexpr std::string_view kWords[] = {"none", "restart"};
  restart = ReadChoice(reader, node, kWords) == 1;
}

constexpr ConfigKey kReadyKeys[] = {
    {"notify", kBooleanNode, "true or false", "false",
     "the service says `READY=1` on `NOTIFY_SOCKET`, as sd_notify(3) does",
     Field<&ReadyConfig::notify, ReadBool>},
    {"port", kIntegerNode, "an integer", "", "ready when this TCP port accepts a connection",
     Whole<ReadyConfig, ReadProbePort>},
    {"file", kStringNode, "a path", "", "ready when this path is there",
     Whole<ReadyConfig, ReadProbeFile>},
    {"exec", kListNodes, "a list of texts", "",
     "ready when this program, run as the service's user, ends with 0",
     Whole<ReadyConfig, ReadProbeExec>},
    {"address", kStringNode, "an address", "\"127.0.0.1\"", "where `port` is looked for",
     Whole<ReadyConfig, ReadProbeAddress>},
    {"interval", kDurationNodes, "a duration", "\"100ms\"", "between two looks",
     Field<&ReadyConfig::interval, ReadDuration<10>>},
    {"timeout", kDurationNodes, "a duration", "\"60s\"",
     "a service that is not ready by then has failed",
     Field<&ReadyConfig::timeout, ReadDuration<10>>},
};

constexpr ConfigKey kHealthKeys[] = {
    {"port", kIntegerNode, "an integer", "", "healthy when this TCP port accepts a connection",
     Whole<HealthConfig, ReadProbePort>},
    {"file", kStringNode, "a path", "", "healthy when this path is there",
     Whole<HealthConfig, ReadProbeFile>},
    {"exec", kListNodes, "a list of texts", "",
     "healthy when this program, run as the service's user, ends with 0",
     Whole<HealthConfig, ReadProbeExec>},
    {"address", kStringNode, "an address", "\"127.0.0.1\"", "where `port` is looked for",
     Whole<HealthConfig, ReadProbeAddress>},
    {"interval", kDurationNodes, "a duration", "\"10s\"", "between two looks",
     Field<&HealthConfig::interval, ReadDuration<10>>},
    {"timeout", kDurationNodes, "a duration", "\"5s\"", "of one look",
     Field<&HealthConfig::timeout, ReadDuration<10>>},
    {"start_period", kDurationNodes, "a duration", "\"0s\"",
     "failures within it, from the start on, do not count",
     Field<&HealthConfig::start_period, ReadDuration<0>>},
    {"unhealthy_after", kIntegerNode, "an integer", "3", "failures in a row, 1 to 1000",
     Field<&HealthConfig::unhealthy_after, ReadInteger<1, 1000, int>>},
    {"healthy_after", kIntegerNode, "an integer", "1", "successes in a row, 1 to 1000",
     Field<&HealthConfig::healthy_after, ReadInteger<1, 1000, int>>},
    {"action", kStringNode, "a text", "\"none\"",
     "what happens to an unhealthy service: `none`, it only shows; `restart`",
     Field<&HealthConfig::restart_unhealthy, ReadHealthAction>},
};

// --- Restart. ---

void ReadRestart(ConfigReader& reader, const ConfigNode& node, ServiceConfig& service) {
  static constexpr std::string_view kWords[] = {"never", "on-failure", "always"};
  constexpr RestartWhen kWhen[] = {RestartWhen::kNever, RestartWhen::kOnFailure,
                                   RestartWhen::kAlways};
  const int choice = ReadChoice(reader, node, kWords);
  if (choice >= 0) service.restart.when = kWhen[choice];
}

void ReadRestartCodes(ConfigReader& reader, const ConfigNode& node, ServiceConfig& service) {
  for (const ConfigNode& item : node.items) {
    if (!reader.Expect(item, kIntegerNode, "an exit code")) continue;
    int code = -1;
    ReadInteger<0, 255>(reader, item, code);
    if (code >= 0) service.restart.codes.push_back(code);
  }
}

void ReadCrashLoop(ConfigReader& reader, const ConfigNode& node, bool& shutdown) {
  static constexpr std::string_view kWords[] = {"mark-failed", "shutdown"};
  shutdown = ReadChoice(reader, node, kWords) == 1;
}

void ReadJitter(ConfigReader& reader, const ConfigNode& node, double& out) {
  ReadDoubleIn(reader, node, 0, 1, out);
}

void ReadBackoff(ConfigReader& reader, const ConfigKey& key, const ConfigNode& node, void* out) {
  RestartConfig& restart = static_cast<ServiceConfig*>(out)->restart;
  reader.ReadTable(node, key.keys, &restart);
  if (restart.first > restart.longest) reader.Mistake(node, "\"first\" is more than \"longest\"");
}

constexpr ConfigKey kBackoffKeys[] = {
    {"first", kDurationNodes, "a duration", "\"100ms\"",
     "the wait after the second short life in a row; it doubles from there",
     Field<&RestartConfig::first, ReadDuration<1>>},
    {"longest", kDurationNodes, "a duration", "\"30s\"", "the wait grows up to this",
     Field<&RestartConfig::longest, ReadDuration<1>>},
    {"jitter", kFloatNode | kIntegerNode, "a number", "0.1",
     "part of the wait, 0 to 1, by which it varies up and down",
     Field<&RestartConfig::jitter, ReadJitter>},
    {"stable_after", kDurationNodes, "a duration", "\"10s\"",
     "a life this long is not short, and forgives all before it",
     Field<&RestartConfig::stable_after, ReadDuration<1>>},
    {"budget", kIntegerNode, "an integer", "6",
     "short lives in a row that make a crash loop, 0 to 1000; 0: never one",
     Field<&RestartConfig::budget, ReadInteger<0, 1000, int>>},
    {"on_crash_loop", kStringNode, "a text", "\"mark-failed\"",
     "`mark-failed`: the service stays down; `shutdown`: the machine ends",
     Field<&RestartConfig::shutdown_on_crash_loop, ReadCrashLoop>},
};

// --- The process: its user, rights and limits. ---

void ReadProgram(ConfigReader& reader, const ConfigNode& node, std::string& out) {
  const std::string& text = node.text;
  if (text.empty() || text.contains('\0')) return reader.Wrong(node, "not a program");
  if (text.find_first_of(" \t\n") != std::string::npos) {
    return reader.Wrong(node, "not one program: what follows its path belongs in \"args\"");
  }
  if (text.contains('/') && !text.starts_with('/')) {
    return reader.Wrong(node, "neither an absolute path nor a bare name");
  }
  out = text;
}

void ReadEnvFile(ConfigReader& reader, const ConfigNode& node, ServiceConfig& service) {
  std::string_view text = node.text;
  service.env_file_optional = text.starts_with('-');
  if (service.env_file_optional) text.remove_prefix(1);
  auto path = ParsePath(text);
  if (!path) return reader.Wrong(node, path.error());
  service.env_file = std::move(*path);
}

void ReadCapabilities(ConfigReader& reader, const ConfigNode& node, std::optional<uint64_t>& out) {
  uint64_t kept = 0;
  for (const ConfigNode& item : node.items) {
    if (!reader.Expect(item, kStringNode, "a text")) continue;
    const auto capability = ParseCapability(item.text);
    if (!capability) {
      reader.Wrong(item, capability.error());
    } else {
      kept |= uint64_t{1} << *capability;
    }
  }
  out = kept;
}

void ReadRlimits(ConfigReader& reader, const ConfigNode& node, std::vector<ServiceRlimit>& out) {
  for (const ConfigNode& item : node.items) {
    const ConfigReader::Path path(reader, item.key);
    const auto resource = ParseRlimitName(item.key);
    if (!resource) {
      reader.Mistake(item.key_place, resource.error());
    } else if (reader.Expect(item, kStringNode | kIntegerNode, "a limit")) {
      const auto limit =
          ParseRlimit(item.kind == kIntegerNode ? std::to_string(item.integer) : item.text);
      if (!limit) {
        reader.Wrong(item, limit.error());
      } else {
        out.push_back({*resource, *limit});
      }
    }
  }
}

void ReadCpus(ConfigReader& reader, const ConfigNode& node, double& out) {
  ReadDoubleIn(reader, node, 0, 1024, out);
  // cpu.max takes no less than 1 ms of 100.
  if (out > 0 && out < 0.01) reader.Mistake(node, "less than 0.01 of a processor");
}

constexpr ConfigKey kLimitKeys[] = {
    {"memory", kDurationNodes, "a size", "(no limit)", "memory.max",
     Field<&LimitsConfig::memory_bytes, ReadSize>},
    {"pids", kIntegerNode, "an integer", "(no limit)", "pids.max",
     Field<&LimitsConfig::pids, ReadInteger<1, 4'194'304, uint64_t>>},
    {"cpus", kFloatNode | kIntegerNode, "a number", "(no limit)",
     "cpu.max, in processors: 0.5 is half of one", Field<&LimitsConfig::cpus, ReadCpus>},
};

// --- When it starts, and its sockets. ---

void ReadStart(ConfigReader& reader, const ConfigNode& node, ServiceConfig& service) {
  static constexpr std::string_view kWords[] = {"boot", "socket", "manual"};
  const int choice = ReadChoice(reader, node, kWords);
  service.on_demand = choice == 1;
  service.enabled = choice != 2;
}

void ReadListen(ConfigReader& reader, const ConfigNode& node, std::string& out) {
  const auto unix_socket = ParseListen(node.text);
  if (!unix_socket) return reader.Wrong(node, unix_socket.error());
  out = node.text;
}

void ReadFdName(ConfigReader& reader, const ConfigNode& node, std::string& out) {
  if (!IsName(node.text)) return reader.Wrong(node, "not a name");
  out = node.text;
}

void CheckSocket(ConfigReader& reader, const ConfigNode& node, SocketConfig& socket) {
  const ConfigNode* mode = node.Find("mode");
  if (mode != nullptr && !socket.listen.empty() && !socket.listen.starts_with("unix:")) {
    reader.Mistake(mode->key_place, "mode: only a Unix socket has one");
  }
}

constexpr ConfigKey kSocketKeys[] = {
    {"name", kStringNode, "a name", "(the service's name)", "in `LISTEN_FDNAMES`",
     Field<&SocketConfig::name, ReadFdName>},
    {.name = "listen",
     .kinds = kStringNode,
     .type = "a socket",
     .fallback = "",
     .meaning = "`tcp:0.0.0.0:80`, `tcp:[::]:80`, `udp:…`, `unix:/run/x.sock`, `vsock:PORT`",
     .decode = Field<&SocketConfig::listen, ReadListen>,
     .required = true},
    {"mode", kStringNode, "a mode", "\"0666\"", "of a Unix socket",
     Field<&SocketConfig::mode, ReadMode>},
    {"backlog", kIntegerNode, "an integer", "128", "connections that wait, 1 to 65535",
     Field<&SocketConfig::backlog, ReadInteger<1, 65535, int>>},
};

void ReadOutput(ConfigReader& reader, const ConfigNode& node, std::string& out) {
  if (node.text != "log" && node.text != "console" && node.text != "null" &&
      !ParsePath(node.text)) {
    return reader.Wrong(node, "not \"log\", \"console\", \"null\" or an absolute path");
  }
  out = node.text;
}

void ReadOnFull(ConfigReader& reader, const ConfigNode& node, bool& block) {
  static constexpr std::string_view kWords[] = {"drop", "block"};
  block = ReadChoice(reader, node, kWords) == 1;
}

}  // namespace

constexpr ConfigKey kServiceKeys[kServiceKeyCount] = {
    {.name = "exec",
     .kinds = kStringNode,
     .type = "a program",
     .fallback = "",
     .meaning = "an absolute path, or a name that is searched in the service's `PATH`",
     .decode = Field<&ServiceConfig::exec, ReadProgram>,
     .required = true},
    {"args", kArrayNode, "a list of texts", "[]", "what follows the program's name",
     Field<&ServiceConfig::args, ReadTexts>},
    {.name = "env",
     .kinds = kTableNode,
     .type = "a table",
     .fallback = "{}",
     .meaning = "variables, over those of `[environment]` and of `env_file`",
     .decode = Field<&ServiceConfig::env, ReadEnvironment>,
     .each = "VARIABLE",
     .each_kinds = kScalarNodes},
    {"env_file", kStringNode, "a path", "",
     "a file of `NAME=VALUE` lines; with a `-` before the path it may be missing",
     Whole<ServiceConfig, ReadEnvFile>},
    {"cwd", kStringNode, "a path", "\"/\"", "where it starts",
     Field<&ServiceConfig::cwd, ReadPath>},
    {"user", kStringNode | kIntegerNode, "a name or number", "(root)", "whom it runs as",
     Field<&ServiceConfig::user, ReadOwner>},
    {"group", kStringNode | kIntegerNode, "a name or number", "(the user's)", "its primary group",
     Field<&ServiceConfig::group, ReadOwner>},
    {"groups", kArrayNode, "a list of names or numbers", "(those of `/etc/group`)",
     "its other groups", Field<&ServiceConfig::groups, ReadOwners>},
    {"capabilities", kArrayNode, "a list of texts", "(what its user has)",
     "the capabilities that it keeps, `CAP_NET_BIND_SERVICE`; `[]`: none",
     Field<&ServiceConfig::capabilities, ReadCapabilities>},
    {"no_new_privs", kBooleanNode, "true or false", "false",
     "set-user-id programs and file capabilities give it nothing",
     Field<&ServiceConfig::no_new_privs, ReadBool>},
    {.name = "rlimits",
     .kinds = kTableNode,
     .type = "a table",
     .fallback = "{}",
     .meaning = "of setrlimit(2), by name (`nofile`): 1024, `\"1024:4096\"` (soft:hard), "
                "`\"64M\"`, `\"unlimited\"`",
     .decode = Field<&ServiceConfig::rlimits, ReadRlimits>,
     .each = "RESOURCE",
     .each_kinds = kStringNode | kIntegerNode},
    {.name = "limits",
     .kinds = kTableNode,
     .type = "a table",
     .fallback = "",
     .meaning = "of its cgroup",
     .decode = Part<&ServiceConfig::limits>,
     .keys = kLimitKeys},
    {"after", kListNodes, "a list of services", "[]",
     "starts when these are ready or have failed, and stops before them",
     Field<&ServiceConfig::after, ReadNames>},
    {"requires", kListNodes, "a list of services", "[]",
     "starts when these are ready; where one has failed, so has this",
     Field<&ServiceConfig::requires_, ReadNames>},
    {.name = "ready",
     .kinds = kTableNode,
     .type = "a table",
     .fallback = "(ready as soon as it runs; a oneshot when it has ended with 0)",
     .meaning = "how it is known that it does its work; one of `notify`, `port`, `file`, `exec`",
     .decode = ReadReady,
     .keys = kReadyKeys},
    {.name = "health",
     .kinds = kTableNode,
     .type = "a table",
     .fallback = "(not looked at)",
     .meaning = "how it is known that it still does; one of `port`, `file`, `exec`",
     .decode = ReadHealth,
     .keys = kHealthKeys},
    {"restart", kStringNode, "a text", "\"on-failure\"", "`never`, `on-failure`, `always`",
     Whole<ServiceConfig, ReadRestart>},
    {"restart_codes", kArrayNode, "a list of exit codes", "(all)",
     "of the ends after which `restart` would start it again, these alone",
     Whole<ServiceConfig, ReadRestartCodes>},
    {.name = "backoff",
     .kinds = kTableNode,
     .type = "a table",
     .fallback = "",
     .meaning = "how long a restart waits, and when there is none",
     .decode = ReadBackoff,
     .keys = kBackoffKeys},
    {"stop_signal", kStringNode | kIntegerNode, "a signal", "\"SIGTERM\"", "asks it to end",
     Field<&ServiceConfig::stop_signal, ReadSignal>},
    {"stop_timeout", kDurationNodes, "a duration", "\"10s\"", "then it is killed",
     Field<&ServiceConfig::stop_timeout, ReadDuration<0>>},
    {"reload_signal", kStringNode | kIntegerNode, "a signal", "\"SIGHUP\"",
     "what `berth-init reload` sends", Field<&ServiceConfig::reload_signal, ReadSignal>},
    {"main", kBooleanNode, "true or false", "false",
     "its end is the machine's, its exit status the machine's; one service at most",
     Field<&ServiceConfig::main, ReadBool>},
    {"oneshot", kBooleanNode, "true or false", "false",
     "it runs to its end, and is ready when that was with 0",
     Field<&ServiceConfig::oneshot, ReadBool>},
    {"wait_for_configure", kBooleanNode, "true or false", "false",
     "starts when the host has sent its part, or after `configure_timeout`",
     Field<&ServiceConfig::wait_for_configure, ReadBool>},
    {"start", kStringNode, "a text", "\"boot\"",
     "`boot`; `socket`: at the first connection to one of its sockets; `manual`: by "
     "`berth-init start` alone",
     Whole<ServiceConfig, ReadStart>},
    {.name = "sockets",
     .kinds = kArrayNode,
     .type = "an array of tables",
     .fallback = "[]",
     .meaning = "sockets that PID 1 opens and passes on, as systemd does (`LISTEN_FDS`)",
     .decode = Tables<&ServiceConfig::sockets, CheckSocket>,
     .keys = kSocketKeys},
    {"output", kStringNode, "a text", "\"log\"",
     "where its output goes: `log`, `console`, `null`, or a path to append to",
     Field<&ServiceConfig::output, ReadOutput>},
    {"on_full", kStringNode, "a text", "\"drop\"",
     "where its lines would push out of the log what the host has not got yet: `drop`: they do; "
     "`block`: it waits",
     Field<&ServiceConfig::block_on_full, ReadOnFull>},
};
// A count that is too large leaves rows without a name.
static_assert(!kServiceKeys[kServiceKeyCount - 1].name.empty());

void CheckService(ConfigReader& reader, const ConfigNode& node, ServiceConfig& service) {
  const auto mistake = [&](std::string_view key, std::string_view text) {
    const ConfigNode* at = node.Find(key);
    const ConfigReader::Path path(reader, key);
    reader.Mistake(at == nullptr ? node.place : at->key_place, text);
  };
  if (!service.restart.codes.empty() && service.restart.when == RestartWhen::kNever) {
    mistake("restart_codes", "no use with restart = \"never\"");
  }
  if (service.oneshot && service.restart.when == RestartWhen::kAlways) {
    mistake("restart", "a oneshot that is always restarted never ends");
  }
  if (service.oneshot && service.health) {
    mistake("health", "no use for a oneshot, which ends");
  }
  if (service.on_demand && node.Find("sockets") == nullptr) {
    mistake("start", "\"socket\" needs \"sockets\"");
  }
  if (service.block_on_full && service.output != "log") {
    mistake("on_full", "needs output = \"log\"");
  }
  for (SocketConfig& socket : service.sockets) {
    if (socket.name.empty()) socket.name = service.name;
  }
}

}  // namespace berth::init
