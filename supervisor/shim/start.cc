// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shim/start.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>

#include "protocol/base/io.h"
#include "supervisor/shim/unix_socket.h"

namespace berth::shim {
namespace {

constexpr int kBacklog = 16;

}  // namespace

Result<Spawned> StartShim(const std::string& program, const LaunchSpec& launch) {
  const VmPaths& paths = launch.paths;
  if (paths.dir.size() > kMaxVmDirBytes) {
    return Fail("socket-path", ENAMETOOLONG, paths.dir, "use a shorter state directory or VM name");
  }
  // Whoever finds an exit record must be able to tell that it is of this run.
  if (unlink(paths.Exit().c_str()) != 0 && errno != ENOENT) {
    return ErrnoError("launch-file", paths.Exit());
  }
  if (auto written = WriteFileAtomic(paths.Launch(), ToJsonText(launch), 0600); !written) {
    return Fail("launch-file", written.error().errnum, paths.Launch());
  }
  auto listener = ListenUnix(paths.ShimSocket(), kBacklog);
  if (!listener) {
    return Fail("shim-socket", listener.error().errnum, listener.error().detail,
                listener.error().hint);
  }
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  const UniqueFd log(open(paths.ShimLog().c_str(),
                          O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!null || !log) return ErrnoError("spawn-shim", paths.ShimLog());
  const std::string launch_path = paths.Launch();
  char* const argv[] = {const_cast<char*>(program.c_str()), const_cast<char*>("--launch"),
                        const_cast<char*>(launch_path.c_str()), nullptr};
  const std::array<SpawnFd, 4> fds = {
      {{null.get(), 0}, {null.get(), 1}, {log.get(), 2}, {listener->get(), kListenerFd}}};
  SpawnPlan plan;
  plan.program = program.c_str();
  plan.argv = argv;
  plan.envp = environ;
  plan.cwd = "/";
  plan.fds = fds;
  plan.new_session = true;  // signals for berthd's terminal or unit are not for the VM
  auto spawned = Spawn(plan);
  if (!spawned) {
    return Fail("spawn-shim", spawned.error().errnum,
                std::string(spawned.error().step.name()) + ": " + spawned.error().detail,
                "is berth-shim installed beside berthd?");
  }
  return spawned;
}

}  // namespace berth::shim
