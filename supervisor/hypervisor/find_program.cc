// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/find_program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "protocol/base/io.h"
#include "protocol/base/spawn.h"
#include "protocol/base/unique_fd.h"

namespace berth {
namespace {

bool IsProgram(const std::string& path) {
  struct stat st{};
  return stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) && access(path.c_str(), X_OK) == 0;
}

// Until the program closes its end. Ends early where it prints more than wanted.
Result<std::string> Drain(int fd, size_t max_bytes, Deadline deadline) {
  std::string output;
  std::array<char, 4096> chunk;
  while (output.size() < max_bytes) {
    BERTH_TRY(PollFor(fd, POLLIN, deadline));
    const ssize_t n = read(fd, chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("run-program");
    if (n == 0) break;
    output.append(chunk.data(), static_cast<size_t>(n));
  }
  return output;
}

}  // namespace

Result<std::string> FindProgramIn(const std::string& name, std::string search_path) {
  if (name.find('/') != std::string::npos) {
    if (IsProgram(name)) return name;
    if (access(name.c_str(), F_OK) != 0) return ErrnoError("find-program", name);
    return Fail("find-program", EACCES, name + " is not an executable file");
  }
  search_path += ':';
  for (size_t at = 0; at < search_path.size();) {
    const size_t end = search_path.find(':', at);
    std::string path = search_path.substr(at, end - at) + "/" + name;
    // A relative entry would mean another program in each working directory.
    if (path.starts_with('/') && IsProgram(path)) return path;
    at = end + 1;
  }
  return Fail("find-program", ENOENT, name + " is not in PATH");
}

Result<std::string> OutputOf(const std::vector<std::string>& argv, size_t max_bytes,
                             Deadline deadline) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoError("run-program", "pipe");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return ErrnoError("run-program", "/dev/null");
  std::vector<char*> args;
  for (const std::string& arg : argv) args.push_back(const_cast<char*>(arg.c_str()));
  args.push_back(nullptr);
  const std::array<SpawnFd, 3> fds = {{{null.get(), 0}, {write_end.get(), 1}, {null.get(), 2}}};
  SpawnPlan plan;
  plan.program = argv[0].c_str();
  plan.argv = args.data();
  plan.envp = environ;
  plan.fds = fds;
  auto child = Spawn(plan);
  if (!child) return Fail("run-program", child.error().errnum, argv[0]);
  write_end.Reset();
  auto output = Drain(read_end.get(), max_bytes, deadline);
  const bool in_time = output && PollFor(child->pidfd.get(), POLLIN, deadline);
  if (!in_time) kill(child->pid, SIGKILL);
  int status = 0;
  while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!output) return Fail("run-program", output.error().errnum, argv[0]);
  if (!in_time) return Fail("run-program", ETIMEDOUT, argv[0] + " does not end");
  if (status != 0) return Fail("run-program", 0, argv[0] + " failed");
  return output;
}

}  // namespace berth
