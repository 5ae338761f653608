// SPDX-License-Identifier: Apache-2.0
#include "agent/exec_child.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "agent/exec_request.h"
#include "agent/pty.h"
#include "protocol/base/users.h"

namespace berth::agent {
namespace {

// The child's ends of what `ExecChild` holds.
struct ChildEnds {
  UniqueFd input;
  UniqueFd output;
  UniqueFd error;
};

Result<> MakePipe(UniqueFd& read_end, UniqueFd& write_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoError("pipe");
  read_end.Reset(ends[0]);
  write_end.Reset(ends[1]);
  return {};
}

// Of one end alone: programs expect theirs to block.
Result<> DoNotBlock(const UniqueFd& fd) {
  if (fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) return ErrnoError("pipe");
  return {};
}

Result<> OpenStreams(const v1::ExecStart& request, uid_t owner, ExecChild& ours,
                     ChildEnds& theirs) {
  if (!request.tty()) {
    if (request.stdin_open()) {
      BERTH_TRY(MakePipe(theirs.input, ours.input));
      BERTH_TRY(DoNotBlock(ours.input));
    }
    BERTH_TRY(MakePipe(ours.output, theirs.output));
    BERTH_TRY(DoNotBlock(ours.output));
    BERTH_TRY(MakePipe(ours.error, theirs.error));
    return DoNotBlock(ours.error);
  }
  BERTH_ASSIGN(Pty pty, OpenPty(request.rows(), request.columns(), owner));
  // Two descriptors, for reading and writing are watched apart.
  ours.input.Reset(fcntl(pty.master.get(), F_DUPFD_CLOEXEC, 0));
  if (!ours.input) return ErrnoError("pty");
  ours.output = std::move(pty.master);
  BERTH_TRY(DoNotBlock(ours.output));  // both: they share it
  theirs.input = std::move(pty.slave);
  return {};
}

std::vector<char*> Pointers(const auto& strings) {
  std::vector<char*> pointers;
  pointers.reserve(static_cast<size_t>(strings.size()) + 1);
  for (const std::string& each : strings) pointers.push_back(const_cast<char*>(each.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// The agent's own limit of open files is not the session's affair.
std::vector<SpawnRlimit> Rlimits(const v1::ExecStart& request, const ExecDefaults& defaults) {
  std::vector<SpawnRlimit> limits = {{RLIMIT_NOFILE, defaults.open_files}};
  for (const auto& each : request.rlimits()) {
    limits.push_back({static_cast<int>(each.resource()), {each.soft(), each.hard()}});
  }
  return limits;
}

std::string HintFor(const Error& error, const std::string& program, const std::string& path) {
  if (error.step != Step("exec")) return error.hint;
  switch (error.errnum) {
    case ENOENT:
      if (program.find('/') == std::string::npos) {
        return "no such program in the session's PATH (" + path + ")";
      }
      return access(program.c_str(), F_OK) == 0
                 ? "the file is there, but its interpreter or dynamic loader is not"
                 : "no such file in the guest";
    case EACCES:
      return "not executable for this user, or on a noexec mount";
    case ENOEXEC:
      return "not a program for this architecture, or a script without #!";
    case ENOMEM:
      return "the guest is out of memory";
    case E2BIG:
      return "arguments and environment are too long for the guest's kernel";
    default:
      return error.hint;
  }
}

}  // namespace

Result<ExecChild> StartExec(const v1::ExecStart& request, const ExecDefaults& defaults,
                            SessionCgroups& cgroups) {
  AccountRequest who{.user = request.user(), .group = request.group(), .groups = {}};
  who.groups.assign(request.groups().begin(), request.groups().end());
  BERTH_ASSIGN(const Account account, ResolveAccount(who));

  ExecChild child{.process = {},
                  .cgroup = cgroups.Take(),
                  .tty = request.tty(),
                  .input = {},
                  .output = {},
                  .error = {}};
  ChildEnds ends;
  BERTH_TRY(OpenStreams(request, account.uid, child, ends));

  const std::vector<std::string> environment = SessionEnvironment(request, account);
  const std::string path = SearchPath(environment);
  const std::vector<char*> argv = Pointers(request.argv());
  const std::vector<char*> envp = Pointers(environment);
  const std::vector<SpawnRlimit> rlimits = Rlimits(request, defaults);
  const int input = ends.input ? ends.input.get() : defaults.dev_null.get();
  const SpawnFd fds[] = {{input, STDIN_FILENO},
                         {child.tty ? input : ends.output.get(), STDOUT_FILENO},
                         {child.tty ? input : ends.error.get(), STDERR_FILENO}};
  SpawnPlan plan;
  plan.program = argv[0];
  plan.search_path = path.c_str();
  plan.argv = argv.data();
  plan.envp = envp.data();
  plan.cwd = request.cwd().empty() ? account.home.c_str() : request.cwd().c_str();
  plan.fds = fds;
  plan.new_session = true;
  plan.controlling_tty = child.tty ? STDIN_FILENO : -1;
  // An agent without privileges, on a developer's machine, still runs programs as itself.
  if (geteuid() == 0 || geteuid() != account.uid) {
    plan.credentials = SpawnCredentials{account.uid, account.gid, account.groups};
  }
  plan.rlimits = rlimits;
  // A session does not outlive the agent: nobody could tell the host how it ended.
  plan.parent_death_signal = SIGKILL;
  plan.cgroup = child.cgroup.dir();
  plan.changed_signals = uint64_t{1} << (SIGPIPE - 1);
  plan.reset_scheduling = true;

  auto spawned = Spawn(plan);
  if (!spawned && spawned.error().step == Step("chdir") && request.cwd().empty()) {
    plan.cwd = "/";  // nobody asked for the home that is not there
    spawned = Spawn(plan);
  }
  if (!spawned && spawned.error().step == Step("clone") && spawned.error().errnum == EBUSY) {
    // An earlier session made cgroups below it, and the kernel lets no process into it any more.
    child.cgroup.Spoil();
    return StartExec(request, defaults, cgroups);
  }
  if (!spawned) {
    Error error = std::move(spawned.error());
    error.hint = HintFor(error, request.argv(0), path);
    return std::unexpected(std::move(error));
  }
  child.process = std::move(*spawned);
  return child;
}

}  // namespace berth::agent
