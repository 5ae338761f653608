// SPDX-License-Identifier: Apache-2.0
//
// berth-init as an ordinary program, on any machine: --version, --help, --check and --keys, and in
// a guest orders about services (service_command.h), and poweroff, reboot and halt, also under
// those names.
#ifndef BERTH_INIT_COMMAND_H_
#define BERTH_INIT_COMMAND_H_

#include <span>

namespace berth::init {

// The exit code: 0, 1 where PID 1 could not be told or --check found mistakes, 2 for a wrong call;
// those of ServiceExit.
int RunCommand(std::span<char* const> argv);

}  // namespace berth::init

#endif  // BERTH_INIT_COMMAND_H_
