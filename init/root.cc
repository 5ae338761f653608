// SPDX-License-Identifier: Apache-2.0
#include "init/root.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <array>

#include "init/console.h"
#include "init/mounts.h"
#include "init/superblock.h"
#include "init/switch_root.h"

namespace berth::init {
namespace {

// In the old root, be it the initramfs or a tmpfs on the old root's /run.
constexpr const char* kNewRoot = "/run/berth/new";
constexpr const char* kLower = "/run/berth/lower";

std::string BlockDevices() {
  std::string names;
  DIR* dir = opendir("/sys/class/block");
  if (dir == nullptr) return "none";
  while (const dirent* entry = readdir(dir)) {
    if (entry->d_name[0] == '.') continue;
    if (!names.empty()) names += ", ";
    names += entry->d_name;
  }
  closedir(dir);
  return names.empty() ? "none" : names;
}

Result<> AwaitDevice(const std::string& device, const Options& options, UeventSocket& uevents) {
  const auto here = [&] { return access(device.c_str(), F_OK) == 0; };
  auto appeared = uevents.WaitUntil(here, Deadline::In(options.root_wait));
  if (appeared) return {};
  return Fail("find-root", appeared.error().errnum,
              device + " did not appear; block devices here: " + BlockDevices(),
              "check root= on the kernel command line, the VM's disks, and that the image has the "
              "disk's driver in modules.load");
}

Result<std::string> TellFilesystem(const std::string& device) {
  const UniqueFd fd(open(device.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError("find-root", device);
  alignas(16) std::array<std::byte, kSuperblockBytes> start{};
  const ssize_t n = pread(fd.get(), start.data(), start.size(), 0);
  if (n < 0) return ErrnoError("find-root", "read of " + device);
  const char* fstype = FilesystemOf({start.data(), static_cast<size_t>(n)});
  if (fstype == nullptr) {
    return Fail("find-root", EINVAL, device + " holds no erofs, ext4, squashfs or xfs",
                "name another file system with rootfstype=");
  }
  return fstype;
}

struct Filesystem {
  std::string source;
  std::string type;
};

Result<> MountFilesystem(const Filesystem& what, const char* target, unsigned long flags,
                         const std::string& data, ModuleLoader& modules) {
  const auto loaded = modules.LoadFilesystem(what.type);
  if (mount(what.source.c_str(), target, what.type.c_str(), flags,
            data.empty() ? nullptr : data.c_str()) == 0) {
    return {};
  }
  const int errnum = errno;
  std::string detail = what.type;
  detail += " on ";
  detail += what.source;
  if (errnum == ENODEV && !loaded) detail += " (" + loaded.error().Message() + ")";
  return Fail("mount-root", errnum, std::move(detail),
              errnum == ENODEV ? "the kernel has no such file system" : "");
}

// Gives the overlay's changes a place at kUpperPath.
Result<> MountUpper(const Options& options, ModuleLoader& modules, UeventSocket& uevents) {
  BERTH_TRY(MakeDirs(kUpperPath, 0755));
  if (options.overlay != Overlay::kDevice) {
    if (mount("tmpfs", kUpperPath, "tmpfs", 0, "mode=0755") != 0) {
      return ErrnoError("overlay", "tmpfs for the changes");
    }
    return {};
  }
  BERTH_TRY(AwaitDevice(options.overlay_device, options, uevents));
  BERTH_ASSIGN(std::string type, TellFilesystem(options.overlay_device));
  return MountFilesystem({options.overlay_device, std::move(type)}, kUpperPath, 0, "", modules);
}

Result<> MountOverlay(const char* lower, const Options& options, ModuleLoader& modules,
                      UeventSocket& uevents) {
  BERTH_TRY(MountUpper(options, modules, uevents));
  const std::string upper = kUpperPath;
  BERTH_TRY(MakeDirs(upper + "/changes", 0755));
  BERTH_TRY(MakeDirs(upper + "/work", 0755));
  return MountFilesystem({"overlay", "overlay"}, kNewRoot, 0,
                         std::string("lowerdir=") + lower + ",upperdir=" + upper +
                             "/changes,workdir=" + upper + "/work",
                         modules);
}

bool WantsOverlay(const Options& options, const std::string& fstype) {
  if (options.overlay == Overlay::kAuto) return IsReadOnlyFilesystem(fstype.c_str());
  return options.overlay != Overlay::kNone;
}

// Mounts what root= names, with its overlay, at kNewRoot.
Result<> MountNewRoot(const Options& options, ModuleLoader& modules, UeventSocket& uevents) {
  Filesystem root{options.root, options.root_fstype};
  const bool has_device = root.type != "virtiofs";
  if (has_device) {
    BERTH_TRY(AwaitDevice(root.source, options, uevents));
    if (root.type.empty()) {
      BERTH_ASSIGN(root.type, TellFilesystem(root.source));
    }
  }
  const bool overlay = WantsOverlay(options, root.type);
  const unsigned long flags =
      overlay || options.read_only || IsReadOnlyFilesystem(root.type.c_str()) ? MS_RDONLY : 0;
  const char* target = overlay ? kLower : kNewRoot;
  BERTH_TRY(MakeDirs(kNewRoot, 0755));
  BERTH_TRY(MakeDirs(target, 0755));
  BERTH_TRY(MountFilesystem(root, target, flags, options.root_flags, modules));
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
