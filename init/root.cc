// SPDX-License-Identifier: Apache-2.0
#include "init/root.h"

#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "init/filesystem.h"
#include "init/mounts.h"
#include "init/superblock.h"
#include "init/switch_root.h"

namespace berth::init {
namespace {

// In the old root, be it the initramfs or a tmpfs on the old root's /run.
constexpr const char* kNewRoot = "/run/berth/new";
constexpr const char* kLower = "/run/berth/lower";

// Gives the overlay's changes a place at kUpperPath.
Result<> MountUpper(const Options& options, ModuleLoader& modules, UeventSocket& uevents) {
  if (options.overlay == Overlay::kDevice) {
    return MountFilesystem({.step = "overlay",
                            .source = options.overlay_device,
                            .type = {},
                            .target = kUpperPath,
                            .flags = 0,
                            .data = {},
                            .format_if_blank = true,
                            .wait = options.root_wait},
                           modules, uevents);
  }
  BERTH_TRY(MakeDirs(kUpperPath, 0755));
  const std::string data =
      options.overlay_size.empty() ? "mode=0755" : "mode=0755,size=" + options.overlay_size;
  if (mount("tmpfs", kUpperPath, "tmpfs", 0, data.c_str()) != 0) {
    return ErrnoError("overlay", "tmpfs for the changes, " + data);
  }
  return {};
}

Result<> MountOverlay(const char* lower, const Options& options, ModuleLoader& modules,
                      UeventSocket& uevents) {
  BERTH_TRY(MountUpper(options, modules, uevents));
  const std::string upper = kUpperPath;
  BERTH_TRY(MakeDirs(upper + "/changes", 0755));
  BERTH_TRY(MakeDirs(upper + "/work", 0755));
  return MountFilesystem({.step = "overlay",
                          .source = "overlay",
                          .type = "overlay",
                          .target = kNewRoot,
                          .flags = 0,
                          .data = std::string("lowerdir=") + lower + ",upperdir=" + upper +
                                  "/changes,workdir=" + upper + "/work"},
                         modules, uevents);
}

bool WantsOverlay(const Options& options, const std::string& fstype) {
  if (options.overlay == Overlay::kAuto) return IsReadOnlyFilesystem(fstype.c_str());
  return options.overlay != Overlay::kNone;
}

// Mounts what root= names, with its overlay, at kNewRoot.
Result<> MountNewRoot(const Options& options, ModuleLoader& modules, UeventSocket& uevents) {
  Filesystem root{.step = "mount-root",
                  .source = options.root,
                  .type = options.root_fstype,
                  .target = {},
                  .flags = 0,
                  .data = options.root_flags,
                  .wait = options.root_wait};
  BERTH_ASSIGN(root.type, FindFilesystem(root, uevents));
  const bool overlay = WantsOverlay(options, root.type);
  if (overlay || options.read_only || IsReadOnlyFilesystem(root.type.c_str())) {
    root.flags = MS_RDONLY;
  }
  root.target = overlay ? kLower : kNewRoot;
  BERTH_TRY(MakeDirs(kNewRoot, 0755));
  BERTH_TRY(MountFilesystem(root, modules, uevents));
  return overlay ? MountOverlay(kLower, options, modules, uevents) : Result<>{};
}

}  // namespace

bool InInitramfs() {
  struct statfs info = {};
  if (statfs("/", &info) != 0) return false;
  const auto type = static_cast<unsigned long>(info.f_type);
  return type == RAMFS_MAGIC || type == TMPFS_MAGIC;
}

Result<> EnterRoot(const Options& options, ModuleLoader& modules, UeventSocket& uevents,
                   BootPhases& phases) {
  const bool from_initramfs = InInitramfs();
  if (from_initramfs && options.root.empty()) return {};
  if (!from_initramfs) {
    // The kernel has mounted the root; only an overlay that was asked for changes it.
    if (options.overlay == Overlay::kAuto || options.overlay == Overlay::kNone) return {};
    BERTH_TRY(MountOne(kMounts[0]));  // /run: the one place of a read-only root that can be written
    BERTH_TRY(MakeDirs(kNewRoot, 0755));
    BERTH_TRY(MountOverlay("/", options, modules, uevents));
  } else {
    BERTH_TRY(MountNewRoot(options, modules, uevents));
  }
  phases.Begin("switch-root");
  return SwitchRoot({.new_root = kNewRoot,
                     .carry_agent = from_initramfs && access(kAgentPath, X_OK) == 0,
                     .carry_upper = options.overlay == Overlay::kDevice,
                     .empty_old_root = from_initramfs});
}

}  // namespace berth::init
