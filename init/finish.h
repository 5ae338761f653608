// SPDX-License-Identifier: Apache-2.0
//
// The last stage of a shutdown: unmount in reverse, name who stands in the way, sync, end.
#ifndef BERTH_INIT_FINISH_H_
#define BERTH_INIT_FINISH_H_

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/control.h"

namespace berth::init {

struct MountEntry {
  std::string target;
  std::string fstype;
  friend bool operator==(const MountEntry&, const MountEntry&) = default;
};

// The mounts of /proc/self/mounts that can hold unwritten data, in the order in which to take them
// down: last mounted first, then "/", then what "/" itself stands on (kUpperPath). Pure.
std::vector<MountEntry> TakedownOrder(std::string_view mounts);

// The first lines of a list of mounts, whole ones, that fit into `max_bytes`. Empty where it cannot
// be read.
std::string ReadMounts(const char* path, size_t max_bytes);

// Does each of `works` in a child of its own, all at once. False where one has not ended, or could
// not begin, at the deadline; it is left alone then. SIGCHLD is blocked.
bool DoInChildren(std::span<void (*const)()> works, Deadline deadline);

// `wait`: how long unmounting and syncing may take together; a disk that died must not keep the
// machine.
[[noreturn]] void Finish(ShutdownMode mode, std::chrono::milliseconds wait);

}  // namespace berth::init

#endif  // BERTH_INIT_FINISH_H_
