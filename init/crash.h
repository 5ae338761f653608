// SPDX-License-Identifier: Apache-2.0
//
// A bug in PID 1 must not be a silent kernel panic: SIGSEGV and its kin say on the console what
// happened, where, and in which build, and power the machine off.
//
//   berth-init: fatal: crash: SIGSEGV at address 0x10, build 6f1c2a...; powering off
//   berth-init: fatal: it was at: addr2line -Cfie berth-init.debug 0x1a2b3 0x1a4c0
#ifndef BERTH_INIT_CRASH_H_
#define BERTH_INIT_CRASH_H_

namespace berth::init {

void InstallCrashHandler();

}  // namespace berth::init

#endif  // BERTH_INIT_CRASH_H_
