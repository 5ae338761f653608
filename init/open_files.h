// SPDX-License-Identifier: Apache-2.0
//
// PID 1 holds several descriptors for each service: more than the limit that the kernel starts it
// with. What it starts gets that limit all the same.
#ifndef BERTH_INIT_OPEN_FILES_H_
#define BERTH_INIT_OPEN_FILES_H_

#include "protocol/base/spawn.h"

namespace berth::init {

// PID 1's own; once.
void RaiseOpenFiles();

// What others start with: the limit before it was raised.
SpawnRlimit InheritedOpenFiles();

}  // namespace berth::init

#endif  // BERTH_INIT_OPEN_FILES_H_
