// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/state_dir.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>

#include <climits>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "protocol/base/io.h"
#include "supervisor/hypervisor/vm_spec.h"
#include "supervisor/shim/control_protocol.h"

namespace berth::daemon {
namespace {

namespace fs = std::filesystem;

Result<> MakeDir(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0) return {};
  if (errno != EEXIST) return ErrnoError("state-dir", path);
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) return ErrnoError("state-dir", path);
  if (!S_ISDIR(status.st_mode)) return Fail("state-dir", ENOTDIR, path);
  return {};
}

// Asks the shim to kill its VM, and waits until it has closed: then all of it is gone.
Result<> EndThroughShim(const std::string& path, Deadline deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return Fail("shim-connect", ENAMETOOLONG, path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return ErrnoError("shim-connect", path);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return ErrnoError("shim-connect", path);
  }
  BERTH_TRY(WriteFull(fd.get(), shim::Encode(shim::Op::kKill), deadline));
  char discarded[4096];
  for (;;) {
    BERTH_TRY(PollFor(fd.get(), POLLIN, deadline));
    const ssize_t n = read(fd.get(), discarded, sizeof(discarded));
    if (n == 0 || (n < 0 && errno == ECONNRESET)) return {};
    if (n < 0 && errno != EINTR) return ErrnoError("shim-read", path);
  }
}

}  // namespace

Result<StateDir> StateDir::Open(const std::string& path) {
  BERTH_TRY(MakeDir(path));
  // Absolute and without links: the names of sockets below it go to other processes.
  char resolved[PATH_MAX];
  if (realpath(path.c_str(), resolved) == nullptr) return ErrnoError("state-dir", path);
  const std::string dir = resolved;
  const size_t longest = dir.size() + sizeof("/vms/") - 1 + 1;
  if (longest > kMaxVmDirBytes) {
    return Fail("state-dir", ENAMETOOLONG, dir, "sockets below it could have no names");
  }
  const std::string lock_path = dir + "/berthd.lock";
  UniqueFd lock(open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) return ErrnoError("state-dir", lock_path);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return ErrnoError("state-dir", dir + " is in use by another berthd",
                      "give each berthd a --state-dir of its own");
  }
  BERTH_TRY(MakeDir(dir + "/vms"));
  return StateDir(dir, std::move(lock));
}

Result<> StateDir::MakeVmDir(const std::string& vm) const {
  const VmPaths paths = PathsOf(vm);
  if (paths.dir.size() > kMaxVmDirBytes) {
    return Fail("vm-dir", ENAMETOOLONG, paths.dir, "use a shorter state directory or VM name");
  }
  if (auto made = MakeDir(paths.dir); !made) {
    return Fail("vm-dir", made.error().errnum, paths.dir);
  }
  return {};
}

Result<> StateDir::RemoveVmDir(const std::string& vm) const {
  std::error_code code;
  fs::remove_all(PathsOf(vm).dir, code);
  if (code) return Fail("vm-dir", code.value(), PathsOf(vm).dir);
  return {};
}

Result<> StateDir::CheckSpace(uint64_t bytes) const {
  struct statvfs status{};
  if (statvfs(path_.c_str(), &status) != 0) return ErrnoError("disk-space", path_);
  const uint64_t free = uint64_t{status.f_bavail} * status.f_frsize;
  if (free >= bytes) return {};
  constexpr double kMiB = 1024.0 * 1024.0;
  return Fail("disk-space", ENOSPC,
              fmt::format("{} has {:.1f} MiB free, a VM needs {:.0f} for its logs", path_,
                          static_cast<double>(free) / kMiB, static_cast<double>(bytes) / kMiB),
              "make room, or move --state-dir");
}

std::vector<std::string> StateDir::Leftovers() const {
  std::vector<std::string> names;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(path_ + "/vms", code)) {
    const std::string name = entry.path().filename();
    // Whatever else lies there was put there by hand, and is left alone.
    if (IsValidVmName(name) && entry.is_directory(code)) names.push_back(name);
  }
  return names;
}

Result<std::string> StateDir::CleanUp(const std::string& vm, Deadline deadline) const {
  std::string done = "its directory was removed";
  const auto ended = EndThroughShim(PathsOf(vm).ShimSocket(), deadline);
  if (ended) {
    done = "it was still running: ended, and " + done;
  } else if (ended.error().errnum != ENOENT && ended.error().errnum != ECONNREFUSED) {
    return std::unexpected(ended.error());
  }
  BERTH_TRY(RemoveVmDir(vm));
  return done;
}

}  // namespace berth::daemon
