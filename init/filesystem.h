// SPDX-License-Identifier: Apache-2.0
//
// One file system, from its device to its mount point: wait for the device, tell what it holds,
// make an ext4 on a blank one where that is wanted, load the driver, mount it. The root, the disk
// of an overlay and the mounts of init.toml all come this way.
#ifndef BERTH_INIT_FILESYSTEM_H_
#define BERTH_INIT_FILESYSTEM_H_

#include <chrono>
#include <string>

#include "init/module_loader.h"
#include "init/uevent.h"
#include "protocol/base/result.h"

namespace berth::init {

struct Filesystem {
  Step step;                // of errors: "mount-root", "overlay", "mount"
  std::string source;       // waited for where it is an absolute path in /dev
  std::string type;         // empty: told from the superblock
  std::string target;       // made where it is missing
  unsigned long flags = 0;  // MS_*
  std::string data;
  bool format_if_blank = false;
  std::chrono::milliseconds wait{0};
};

// The type where `what.type` is empty and it has a device, with the device waited for.
Result<std::string> FindFilesystem(const Filesystem& what, UeventSocket& uevents);

Result<> MountFilesystem(const Filesystem& what, ModuleLoader& modules, UeventSocket& uevents);

}  // namespace berth::init

#endif  // BERTH_INIT_FILESYSTEM_H_
