// SPDX-License-Identifier: Apache-2.0
//
// Programs of the host: where they are, and what they print. Blocking; any thread.
#ifndef BERTH_SUPERVISOR_HYPERVISOR_FIND_PROGRAM_H_
#define BERTH_SUPERVISOR_HYPERVISOR_FIND_PROGRAM_H_

#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"

namespace berth {

// The absolute path of an executable: `name` itself where it is a path, else looked up in
// `search_path` (as $PATH is). Step "find-program".
Result<std::string> FindProgramIn(const std::string& name, std::string search_path);

// What a program prints on stdout before it ends, at most `max_bytes` of it. Killed at the
// deadline. Step "run-program"; a non-zero exit is an error.
Result<std::string> OutputOf(const std::vector<std::string>& argv, size_t max_bytes,
                             Deadline deadline);

}  // namespace berth

#endif  // BERTH_SUPERVISOR_HYPERVISOR_FIND_PROGRAM_H_
