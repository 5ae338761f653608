// SPDX-License-Identifier: Apache-2.0
#include "init/wait_status.h"

#include <sys/wait.h>

#include "init/config_values.h"

namespace berth::init {

std::string DescribeWaitStatus(int wait_status) {
  if (WIFEXITED(wait_status)) return "exit code " + std::to_string(WEXITSTATUS(wait_status));
  std::string text = SignalName(WTERMSIG(wait_status));
  if (WCOREDUMP(wait_status)) text += " (core dumped)";
  return text;
}

}  // namespace berth::init
