// SPDX-License-Identifier: Apache-2.0
#include "init/wait_status.h"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>

namespace berth::init {
namespace {

struct SignalName {
  int number;
  const char* name;
};

#define BERTH_SIGNAL(name) \
  SignalName { name, #name }
constexpr SignalName kSignalRows[] = {
    BERTH_SIGNAL(SIGHUP),  BERTH_SIGNAL(SIGINT),  BERTH_SIGNAL(SIGQUIT), BERTH_SIGNAL(SIGILL),
    BERTH_SIGNAL(SIGTRAP), BERTH_SIGNAL(SIGABRT), BERTH_SIGNAL(SIGBUS),  BERTH_SIGNAL(SIGFPE),
    BERTH_SIGNAL(SIGKILL), BERTH_SIGNAL(SIGSEGV), BERTH_SIGNAL(SIGPIPE), BERTH_SIGNAL(SIGTERM),
    BERTH_SIGNAL(SIGXCPU), BERTH_SIGNAL(SIGSYS),
};
#undef BERTH_SIGNAL

}  // namespace

std::string DescribeWaitStatus(int wait_status) {
  if (WIFEXITED(wait_status)) return "exit code " + std::to_string(WEXITSTATUS(wait_status));
  const int number = WTERMSIG(wait_status);
  const auto* row = std::ranges::find(kSignalRows, number, &SignalName::number);
  std::string text = row != std::end(kSignalRows) ? row->name : "signal " + std::to_string(number);
  if (WCOREDUMP(wait_status)) text += " (core dumped)";
  return text;
}

}  // namespace berth::init
