// SPDX-License-Identifier: Apache-2.0
//
// The commands that ask one thing of each VM they are given, and say what came of it.
#ifndef BERTH_SUPERVISOR_CLI_VM_CALL_H_
#define BERTH_SUPERVISOR_CLI_VM_CALL_H_

#include "supervisor/cli/command.h"

namespace berth::cli {

// Calls `method` for the VM with `params` beside its name, and prints what `say` makes of the
// answer, or the answer itself as JSON.
int CallVm(const Shared& shared, const std::string& verb, const std::string& method,
           const std::string& vm, json params, const std::function<std::string(const json&)>& say);

}  // namespace berth::cli

#endif  // BERTH_SUPERVISOR_CLI_VM_CALL_H_
