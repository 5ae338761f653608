// SPDX-License-Identifier: Apache-2.0
#include "init/filesystem.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "init/blank_disk.h"
#include "init/console.h"
#include "init/mounts.h"
#include "init/superblock.h"
#include "protocol/base/unique_fd.h"

namespace berth::init {
namespace {

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

bool HasDevice(const Filesystem& what) { return what.source.starts_with("/dev/"); }

Result<> AwaitDevice(const Filesystem& what, UeventSocket& uevents) {
  const auto here = [&] { return access(what.source.c_str(), F_OK) == 0; };
  auto appeared = uevents.WaitUntil(here, Deadline::In(what.wait));
  if (appeared) return {};
  return Fail(what.step, appeared.error().errnum,
              what.source + " did not appear; block devices here: " + BlockDevices(),
              "check the name, the VM's disks, and that the image has the disk's driver in "
              "modules.load");
}

Result<std::string> TellFilesystem(const Filesystem& what) {
  const UniqueFd fd(open(what.source.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError(what.step, what.source);
  alignas(16) std::array<std::byte, kSuperblockBytes> start{};
  const ssize_t n = pread(fd.get(), start.data(), start.size(), 0);
  if (n < 0) return ErrnoError(what.step, "read of " + what.source);
  const char* fstype = FilesystemOf({start.data(), static_cast<size_t>(n)});
  if (fstype != nullptr) return fstype;
  BERTH_ASSIGN(const bool blank, IsBlankDisk(fd.get()));
  if (!blank) {
    return Fail(what.step, EINVAL, what.source + " holds no erofs, ext4, squashfs or xfs",
                "name another file system; a disk that is not blank is never formatted");
  }
  if (what.format_if_blank) return "";
  return Fail(what.step, EINVAL, what.source + " is blank", "make a file system on it");
}

constexpr unsigned long kBindFlags = MS_BIND | MS_REC;

// A directory on a directory, a file on a file.
Result<> Bind(const Filesystem& what) {
  struct stat st = {};
  if (stat(what.source.c_str(), &st) != 0) return ErrnoError(what.step, what.source);
  if (S_ISDIR(st.st_mode)) {
    BERTH_TRY(MakeDirs(what.target, 0755));
  } else {
    const size_t slash = what.target.rfind('/');
    if (slash > 0) BERTH_TRY(MakeDirs(what.target.substr(0, slash), 0755));
    const UniqueFd made(
        open(what.target.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644));
    if (!made) return ErrnoError(what.step, what.target);
  }
  const auto place = [&](unsigned long flags) {
    return mount(what.source.c_str(), what.target.c_str(), nullptr, flags, nullptr);
  };
  if (place(what.flags & kBindFlags) != 0) {
    return ErrnoError(what.step, "bind of " + what.source + " on " + what.target);
  }
  // mount(2) takes the other flags of a bind no sooner than this.
  const unsigned long others = what.flags & ~kBindFlags;
  if (others == 0 || place(MS_REMOUNT | MS_BIND | others) == 0) return {};
  auto error =
      ErrnoError(what.step, "options of the bind of " + what.source + " on " + what.target);
  umount2(what.target.c_str(), MNT_DETACH);
  return error;
}

}  // namespace

Result<std::string> FindFilesystem(const Filesystem& what, UeventSocket& uevents) {
  if (HasDevice(what)) BERTH_TRY(AwaitDevice(what, uevents));
  if (!what.type.empty()) return what.type;
  return TellFilesystem(what);
}

Result<> MountFilesystem(const Filesystem& what, ModuleLoader& modules, UeventSocket& uevents) {
  if ((what.flags & MS_BIND) != 0) {
    if (HasDevice(what)) BERTH_TRY(AwaitDevice(what, uevents));
    return Bind(what);
  }
  BERTH_ASSIGN(std::string type, FindFilesystem(what, uevents));
  const bool is_new = type.empty();
  if (is_new) {
    const UniqueFd disk(open(what.source.c_str(), O_RDWR | O_CLOEXEC));
    if (!disk) return ErrnoError(what.step, what.source);
    BERTH_TRY(WriteEmptyExt4(disk.get()));
    type = "ext4";
    Info(what.source + " was blank and holds an ext4 now");
  }
  const auto loaded = modules.LoadFilesystem(type);
  BERTH_TRY(MakeDirs(what.target, 0755));
  if (mount(what.source.c_str(), what.target.c_str(), type.c_str(), what.flags,
            what.data.empty() ? nullptr : what.data.c_str()) != 0) {
    const int errnum = errno;
    std::string detail = type;
    detail += " of " + what.source + " on " + what.target;
    if (errnum == ENODEV && !loaded) detail += " (" + loaded.error().Message() + ")";
    return Fail(what.step, errnum, std::move(detail),
                errnum == ENODEV   ? "the kernel has no such file system"
                : errnum == EINVAL ? "the kernel's log says which option or part it does not take"
                                   : "");
  }
  if (what.format_if_blank && type == "ext4" && (what.flags & MS_RDONLY) == 0) {
    // A disk may have been made larger since, too.
    if (auto grown = GrowExt4(what.target, what.source, is_new); !grown) Warn(grown.error());
  }
  return {};
}

}  // namespace berth::init
