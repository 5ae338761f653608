// SPDX-License-Identifier: Apache-2.0
//
// From the initramfs to the root file system that stays: find it, mount it, put an overlay on it
// where it cannot be written, and make it "/".
//
// PID 1 does not exec anything on the way: the process that the kernel started from the initramfs
// goes on, its program file kept alive by being run. So the root file system needs to hold neither
// berth-init nor berth-agent, both are of one build, and no time is spent on starting twice.
#ifndef BERTH_INIT_ROOT_H_
#define BERTH_INIT_ROOT_H_

#include <string>

#include "init/cmdline.h"
#include "init/module_loader.h"
#include "init/phases.h"
#include "init/uevent.h"
#include "protocol/base/result.h"

namespace berth::init {

// Where an image keeps the agent, in the initramfs or in the root file system.
inline constexpr const char* kAgentPath = "/sbin/berth-agent";
// Where the initramfs' agent is seen after the switch.
inline constexpr const char* kCarriedAgentPath = "/run/berth/agent";
// Where the file system below the overlay's changes is seen, where that is a device.
inline constexpr const char* kUpperPath = "/run/berth/upper";

// Whether "/" is the kernel's initramfs.
bool InInitramfs();

// Leaves "/" the root file system that `options` ask for, with /dev, /proc, /sys and /run mounted.
// In an initramfs with no root= that is the initramfs itself.
Result<> EnterRoot(const Options& options, ModuleLoader& modules, UeventSocket& uevents,
                   BootPhases& phases);

}  // namespace berth::init

#endif  // BERTH_INIT_ROOT_H_
