// SPDX-License-Identifier: Apache-2.0
#include "init/mounts.h"

#include <fcntl.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init/console.h"
#include "protocol/base/io.h"

namespace berth::init {
namespace {

#ifndef STATX_ATTR_MOUNT_ROOT  // Linux 5.8
#define STATX_ATTR_MOUNT_ROOT 0x00002000
#endif

std::string Describe(const MountRow& row) { return std::string(row.fstype) + " on " + row.target; }

}  // namespace

bool IsMountPoint(const char* path) {
  // The raw call: musl's and glibc's struct statx hide behind different feature macros.
  struct statx info = {};
  if (syscall(SYS_statx, AT_FDCWD, path, AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW, 0, &info) != 0) {
    return false;
  }
  return (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

Result<> MountOne(const MountRow& row) {
  if (IsMountPoint(row.target)) return {};
  if (mount(row.source, row.target, row.fstype, row.flags, row.data) == 0) return {};
  if (errno == ENOENT && row.make_target != 0) {
    BERTH_TRY(MakeDirs(row.target, row.make_target));
    if (mount(row.source, row.target, row.fstype, row.flags, row.data) == 0) return {};
  }
  const int errnum = errno;
  return Fail("mount", errnum, Describe(row),
              errnum == ENODEV ? "the kernel was built without this file system" : "");
}

Result<> MountAll(std::span<const MountRow> rows) {
  for (const MountRow& row : rows) {
    auto mounted = MountOne(row);
    if (mounted) continue;
    if (row.need == Need::kFatal) return mounted;
    Warn(mounted.error());
  }
  return {};
}

Result<> MakeDirs(const std::string& path, mode_t mode) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    const bool last = slash == std::string::npos;
    if (mkdir(part.c_str(), last ? mode : 0755) == 0) {
      // The umask took bits away that a mode such as 1777 needs.
      if (last && (mode & 022) != 0) chmod(part.c_str(), mode);
    } else if (errno != EEXIST) {
      return ErrnoError("mkdir", part);
    }
    if (last) return {};
  }
}

Result<> MakeTree(std::span<const DirRow> dirs, std::span<const LinkRow> links) {
  for (const DirRow& dir : dirs) {
    auto made = MakeDirs(dir.path, dir.mode);
    if (made) continue;
    if (dir.need == Need::kFatal) return made;
    Warn(made.error());
  }
  for (const LinkRow& link : links) {
    if (symlink(link.to, link.path) != 0 && errno != EEXIST) {
      Warn(Error{"symlink", errno, link.path, ""});
    }
  }
  return {};
}

void SetSysctls(std::span<const SysctlRow> rows) {
  for (const SysctlRow& row : rows) {
    if (auto set = WriteKnob(row.path, row.value); !set) Warn(set.error());
  }
}

}  // namespace berth::init
