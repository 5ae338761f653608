// SPDX-License-Identifier: Apache-2.0
//
// The tables of a guest's file tree: what is mounted where, which directories, links and sysctls
// there must be. Each row says whether the machine can live without it. docs/init.md shows them.
#ifndef BERTH_INIT_MOUNTS_H_
#define BERTH_INIT_MOUNTS_H_

#include <sys/mount.h>
#include <sys/types.h>

#include <span>
#include <string>

#include "protocol/base/result.h"

namespace berth::init {

enum class Need { kFatal, kOptional };

struct MountRow {
  const char* source;
  const char* target;
  const char* fstype;
  unsigned long flags;
  const char* data;
  mode_t make_target;  // mode of the mount point where it has to be made; 0: it is never made
  Need need;
};

inline constexpr unsigned long kPlain = MS_NOSUID | MS_NOEXEC | MS_NODEV;

// Before anything else: without these PID 1 sees no device, no command line, no console.
inline constexpr MountRow kEarlyMounts[] = {
    {"devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755", 0755, Need::kFatal},
    {"proc", "/proc", "proc", kPlain, nullptr, 0555, Need::kFatal},
    {"sysfs", "/sys", "sysfs", kPlain, nullptr, 0555, Need::kFatal},
};

// In the root file system that stays.
inline constexpr MountRow kMounts[] = {
    {"tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755", 0755, Need::kFatal},
    {"tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777", 01777, Need::kOptional},
    {"devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=0620,ptmxmode=0666", 0755,
     Need::kOptional},
    {"tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777", 01777, Need::kOptional},
    {"cgroup2", "/sys/fs/cgroup", "cgroup2", kPlain, "nsdelegate", 0, Need::kOptional},
};

struct DirRow {
  const char* path;
  mode_t mode;
  Need need;
};

inline constexpr DirRow kDirs[] = {
    {"/run/berth", 0755, Need::kFatal},
    {"/run/lock", 01777, Need::kOptional},
};

struct LinkRow {
  const char* path;
  const char* to;
};

// devtmpfs has none of these, and shells and scripts take them for granted.
inline constexpr LinkRow kLinks[] = {
    {"/dev/fd", "/proc/self/fd"},
    {"/dev/stdin", "/proc/self/fd/0"},
    {"/dev/stdout", "/proc/self/fd/1"},
    {"/dev/stderr", "/proc/self/fd/2"},
};

struct SysctlRow {
  const char* path;
  const char* value;
};

// What every distribution sets and the kernel does not.
inline constexpr SysctlRow kSysctls[] = {
    {"/proc/sys/fs/protected_hardlinks", "1"},
    {"/proc/sys/fs/protected_symlinks", "1"},
    // Ten messages in /dev/log, the kernel's own bound, hold up who sends the next at each restart
    // of the agent.
    {"/proc/sys/net/unix/max_dgram_qlen", "512"},
};

bool IsMountPoint(const char* path);

// Mounts one row; that it is mounted already is success, for the kernel or the initramfs may have
// done it.
Result<> MountOne(const MountRow& row);
// Each row in turn. A fatal row's error ends it, an optional row's becomes a warning.
Result<> MountAll(std::span<const MountRow> rows);

// mkdir(2) for every part of `path` that is missing.
Result<> MakeDirs(const std::string& path, mode_t mode);

Result<> MakeTree(std::span<const DirRow> dirs, std::span<const LinkRow> links);
void SetSysctls(std::span<const SysctlRow> rows);

}  // namespace berth::init

#endif  // BERTH_INIT_MOUNTS_H_
