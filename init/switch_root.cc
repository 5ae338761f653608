// SPDX-License-Identifier: Apache-2.0
#include "init/switch_root.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "init/mounts.h"
#include "init/root.h"
#include "protocol/base/unique_fd.h"

namespace berth::init {
namespace {

constexpr int kMaxDepth = 32;

// Two programs run on from here: to unlink them would free nothing and turn their names in /proc
// into "(deleted)".
bool StillRuns(const char* name) {
  return std::strcmp(name, "init") == 0 || std::strcmp(name, "berth-agent") == 0;
}

// Removes what lies in `fd` on device `device`: never through a mount point into another file
// system. What cannot be removed stays, and costs its memory.
void RemoveContents(UniqueFd fd, dev_t device, int depth) {
  DIR* dir = fdopendir(fd.get());
  if (dir == nullptr) return;
  [[maybe_unused]] const int owned_by_dir = fd.Release();
  while (const dirent* entry = readdir(dir)) {
    const char* name = entry->d_name;
    if (std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0 || StillRuns(name)) continue;
    if (unlinkat(dirfd(dir), name, 0) == 0 || depth == kMaxDepth) continue;
    UniqueFd child(openat(dirfd(dir), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat info = {};
    if (!child || fstat(child.get(), &info) != 0 || info.st_dev != device) continue;
    RemoveContents(std::move(child), device, depth + 1);
    unlinkat(dirfd(dir), name, AT_REMOVEDIR);
  }
  closedir(dir);
}

Result<> MoveMount(const std::string& from, const std::string& to) {
  if (mount(from.c_str(), to.c_str(), nullptr, MS_MOVE, nullptr) == 0) return {};
  if (errno == ENOENT) {
    BERTH_TRY(MakeDirs(to, 0755));
    if (mount(from.c_str(), to.c_str(), nullptr, MS_MOVE, nullptr) == 0) return {};
  }
  return ErrnoError("switch-root", "move of " + from + " to " + to,
                    errno == EROFS ? "a root file system that cannot be written needs the folders "
                                     "/dev, /proc, /sys and /run, or an overlay"
                                   : "");
}

Result<> CarryAgent(const std::string& to) {
  const UniqueFd file(open(to.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0755));
  if (!file) return ErrnoError("switch-root", to);
  if (mount(kAgentPath, to.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return ErrnoError("switch-root", std::string("bind of ") + kAgentPath + " to " + to);
  }
  return {};
}

}  // namespace

Result<> SwitchRoot(const RootSwitch& how) {
  const std::string root = how.new_root;
  MountRow run = kMounts[0];
  const std::string run_path = root + run.target;
  run.target = run_path.c_str();
  BERTH_TRY(MountOne(run));
  BERTH_TRY(MakeDirs(root + "/run/berth", 0755));
  if (how.carry_agent) BERTH_TRY(CarryAgent(root + kCarriedAgentPath));
  if (how.carry_upper) BERTH_TRY(MoveMount(kUpperPath, root + kUpperPath));
  for (const MountRow& row : kEarlyMounts) BERTH_TRY(MoveMount(row.target, root + row.target));

  UniqueFd old_root(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat old_info = {};
  if (!old_root || fstat(old_root.get(), &old_info) != 0) return ErrnoError("switch-root", "/");
  // pivot_root(2) refuses to leave an initramfs; a move over "/" does the same for all who look
  // from now on.
  if (chdir(how.new_root) != 0) return ErrnoError("switch-root", root);
  if (mount(".", "/", nullptr, MS_MOVE, nullptr) != 0) {
    return ErrnoError("switch-root", "move of " + root + " to /");
  }
  if (chroot(".") != 0 || chdir("/") != 0) return ErrnoError("switch-root", "chroot");
  if (how.empty_old_root) RemoveContents(std::move(old_root), old_info.st_dev, 0);
  return {};
}

}  // namespace berth::init
