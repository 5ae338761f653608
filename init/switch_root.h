// SPDX-License-Identifier: Apache-2.0
//
// Makes a mounted file system "/", takes along what PID 1 needs of the old root, and frees the
// memory of an initramfs.
#ifndef BERTH_INIT_SWITCH_ROOT_H_
#define BERTH_INIT_SWITCH_ROOT_H_

#include "protocol/base/result.h"

namespace berth::init {

struct RootSwitch {
  const char* new_root;  // a mount point
  bool carry_agent;      // kAgentPath of the old root is seen at kCarriedAgentPath of the new one
  bool carry_upper;      // kUpperPath stays kUpperPath, so that shutdown can unmount it
  bool empty_old_root;   // it is an initramfs: nothing of it is needed any more
};

Result<> SwitchRoot(const RootSwitch& how);

}  // namespace berth::init

#endif  // BERTH_INIT_SWITCH_ROOT_H_
