// SPDX-License-Identifier: Apache-2.0
#include "init/service_spawn.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <map>

#include "init/open_files.h"
#include "protocol/base/io.h"
#include "protocol/base/spawn.h"

namespace berth::init {
namespace {

constexpr int kFirstListenFd = 3;  // SD_LISTEN_FDS_START
constexpr std::string_view kListenPid = "LISTEN_PID=";

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& each : strings) pointers.push_back(each.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) {
    text.remove_suffix(1);
  }
  return text;
}

Result<Environment> ReadEnvFile(const ServiceConfig& service) {
  if (service.env_file.empty()) return Environment{};
  // Only a file can be read to its end without waiting for somebody. Looked at before it is opened,
  // and opened as what was looked at: the service's user may put a FIFO in its place at any time.
  const UniqueFd found(open(service.env_file.c_str(), O_PATH | O_CLOEXEC));
  struct stat info = {};
  if (!found || fstat(found.get(), &info) != 0) {
    if (service.env_file_optional && errno == ENOENT) return Environment{};
    return ErrnoError("env-file", service.env_file,
                      "write \"-" + service.env_file + "\" where it may be missing");
  }
  if (!S_ISREG(info.st_mode)) {
    return Fail("env-file", EINVAL, service.env_file + " is not a regular file");
  }
  const auto text =
      ReadFile(("/proc/self/fd/" + std::to_string(found.get())).c_str(), kMaxEnvFileBytes);
  if (!text) return Fail("env-file", text.error().errnum, service.env_file);
  return ParseEnvFile(*text, service.env_file);
}

// The directory that `path` stands in, which is left with its last part. A link on the way is
// followed only where root made it: PID 1 opens as root, and must not be led by a service's user.
Result<UniqueFd> OpenDirOf(std::string& path) {
  constexpr int kMaxLinks = 40;  // the kernel's own
  const auto root = [] { return UniqueFd(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)); };
  UniqueFd dir = root();
  for (int links = 0;;) {
    path.erase(0, std::min(path.find_first_not_of('/'), path.size()));
    const size_t slash = path.find('/');
    if (slash == std::string::npos) return dir;
    const std::string name = path.substr(0, slash);
    UniqueFd next(openat(dir.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat info = {};
    if (!next || fstat(next.get(), &info) != 0) return ErrnoError("output", name);
    path.erase(0, slash);
    if (!S_ISLNK(info.st_mode)) {
      dir = std::move(next);
      continue;
    }
    if (info.st_uid != 0 || ++links > kMaxLinks) {
      return Fail("output", ELOOP, name, "a link that root did not make is not followed");
    }
    char target[PATH_MAX];
    const ssize_t n = readlinkat(next.get(), "", target, sizeof(target));
    if (n < 0) return ErrnoError("output", name);
    path.insert(0, target, static_cast<size_t>(n));
    if (path.starts_with('/')) dir = root();
  }
}

// A descriptor of its own in any case: PID 1's console is set not to block, which a service would
// inherit with the open file and take for an error.
Result<UniqueFd> OpenOutput(const ServiceSpawn& spawn) {
  const std::string& output = spawn.service->output;
  if (output == "console" || output == "log") {
    UniqueFd console(open(spawn.console, O_WRONLY | O_NOCTTY | O_CLOEXEC));
    if (console) return console;
  } else if (output != "null") {
    std::string name = output;
    BERTH_ASSIGN(const UniqueFd dir, OpenDirOf(name));
    // Without blocking: a FIFO that nobody reads would hold PID 1. For the service it may block.
    UniqueFd file(openat(
        dir.get(), name.c_str(),
        O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0640));
    if (!file) {
      return ErrnoError("output", output,
                        errno == ENXIO   ? "nobody reads this FIFO or socket"
                        : errno == ELOOP ? "a link is not followed"
                                         : "");
    }
    struct stat info = {};
    if (fstat(file.get(), &info) != 0 ||
        (!S_ISREG(info.st_mode) && !S_ISFIFO(info.st_mode) && !S_ISCHR(info.st_mode))) {
      return Fail("output", EINVAL, output + " is neither a file nor a FIFO nor a terminal");
    }
    BERTH_TRY(SetNonBlocking(file.get(), false));
    return file;
  }
  UniqueFd null(open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (!null) return ErrnoError("output", "/dev/null");
  return null;
}

std::string ExecHint(const Error& error, const std::string& program, const std::string& path) {
  if (error.step != Step("exec")) return error.hint;
  switch (error.errnum) {
    case ENOENT:
      if (program.find('/') == std::string::npos) return "no such program in PATH (" + path + ")";
      return access(program.c_str(), F_OK) == 0
                 ? "the file is there, but its interpreter or dynamic loader is not"
                 : "no such file in the image";
    case EACCES:
      return "not executable for this user, or on a noexec mount";
    case ENOEXEC:
      return "not a program for this architecture, or a script without #!";
    default:
      return error.hint;
  }
}

}  // namespace

Result<Environment> ParseEnvFile(std::string_view text, std::string_view path) {
  Environment environment;
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = Trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#') continue;
    const size_t equals = line.find('=');
    if (equals == 0 || equals == std::string_view::npos ||
        line.find('\0') != std::string_view::npos) {
      return Fail("env-file", EINVAL,
                  std::string(path) + ":" + std::to_string(number) + ": not NAME=VALUE");
    }
    if (environment.size() == kMaxEnvFileVariables) {
      return Fail("env-file", E2BIG,
                  std::string(path) + " has more than " + std::to_string(kMaxEnvFileVariables) +
                      " variables");
    }
    std::string_view value = Trim(line.substr(equals + 1));
    const bool quoted = value.size() >= 2 && value.front() == value.back() &&
                        (value.front() == '"' || value.front() == '\'');
    if (quoted) value = value.substr(1, value.size() - 2);
    environment.emplace_back(Trim(line.substr(0, equals)), value);
  }
  return environment;
}

std::vector<std::string> ServiceEnvironment(const ServiceSpawn& spawn, const Account& account,
                                            const Environment& from_file) {
  std::map<std::string, std::string, std::less<>> values;
  const auto set = [&values](std::string_view name, std::string_view value) {
    values.insert_or_assign(std::string(name), value);
  };
  set("PATH", kDefaultPath);
  set("HOME", account.home);
  set("USER", account.name);
  set("LOGNAME", account.name);
  set("SHELL", account.shell);
  for (const Environment* each : {&spawn.config->environment, &from_file, &spawn.service->env}) {
    for (const auto& [name, value] : *each) set(name, value);
  }
  if (spawn.probe.empty() && !spawn.notify_path.empty()) set("NOTIFY_SOCKET", spawn.notify_path);
  if (spawn.probe.empty() && !spawn.sockets.empty()) {
    std::string names;
    for (const SocketConfig& each : spawn.service->sockets) {
      names += (names.empty() ? "" : ":") + each.name;
    }
    set("LISTEN_FDS", std::to_string(spawn.sockets.size()));
    set("LISTEN_FDNAMES", names);
    set("LISTEN_PID", std::string(kSpawnPidBytes, '\0'));
  }
  std::vector<std::string> out;
  out.reserve(values.size());
  for (const auto& [name, value] : values) out.push_back(name + "=" + value);
  return out;
}

Result<pid_t> SpawnService(const ServiceSpawn& spawn) {
  const ServiceConfig& service = *spawn.service;
  AccountRequest who{.user = service.user, .group = service.group, .groups = {}};
  who.groups.assign(service.groups.begin(), service.groups.end());
  BERTH_ASSIGN(const Account account, ResolveAccount(who));
  BERTH_ASSIGN(const Environment from_file, ReadEnvFile(service));
  std::vector<std::string> environment = ServiceEnvironment(spawn, account, from_file);

  std::vector<std::string> arguments;
  if (spawn.probe.empty()) {
    arguments.push_back(service.exec);
    arguments.insert(arguments.end(), service.args.begin(), service.args.end());
  } else {
    arguments.assign(spawn.probe.begin(), spawn.probe.end());
  }

  UniqueFd output;
  int out = spawn.log_out;
  int err = spawn.log_err;
  if (service.output != "log" || out < 0 || err < 0) {
    BERTH_ASSIGN(output, OpenOutput(spawn));
    out = err = output.get();
  }
  const UniqueFd input(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!input) return ErrnoError("input", "/dev/null");
  std::vector<SpawnFd> fds = {
      {input.get(), STDIN_FILENO}, {out, STDOUT_FILENO}, {err, STDERR_FILENO}};
  if (spawn.probe.empty()) {
    int to = kFirstListenFd;
    for (const int socket : spawn.sockets) fds.push_back({socket, to++});
  }
  std::vector<SpawnRlimit> rlimits;
  for (const ServiceRlimit& each : service.rlimits) {
    rlimits.push_back({each.resource, each.limit});
  }
  if (std::ranges::find(rlimits, RLIMIT_NOFILE, &SpawnRlimit::resource) == rlimits.end()) {
    rlimits.push_back(InheritedOpenFiles());
  }

  const std::vector<char*> argv = Pointers(arguments);
  const std::vector<char*> envp = Pointers(environment);
  std::string path;
  SpawnPlan plan;
  for (std::string& each : environment) {
    if (each.starts_with("PATH=")) path = each.substr(5);
    if (each.starts_with(kListenPid) && !spawn.sockets.empty()) {
      plan.pid_text = each.data() + kListenPid.size();
    }
  }
  plan.program = argv[0];
  plan.search_path = path.c_str();
  plan.argv = argv.data();
  plan.envp = envp.data();
  plan.cwd = service.cwd.c_str();
  plan.fds = fds;
  plan.new_session = true;
  // On a developer's machine without privileges, a service still runs as who starts it.
  if (geteuid() == 0 || account.uid != geteuid()) {
    plan.credentials = SpawnCredentials{account.uid, account.gid, account.groups};
  }
  plan.rlimits = rlimits;
  plan.cgroup_procs = spawn.cgroup_procs;
  plan.no_new_privs = service.no_new_privs;
  plan.capabilities = service.capabilities;
  auto spawned = Spawn(plan);
  if (!spawned) {
    Error error = std::move(spawned.error());
    error.hint = ExecHint(error, arguments[0], path);
    return std::unexpected(std::move(error));
  }
  return spawned->pid;
}

}  // namespace berth::init
