// SPDX-License-Identifier: Apache-2.0
#include "init/hand_over.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "init/console.h"
#include "protocol/base/unique_fd.h"

namespace berth::init {

Error HandOver(const std::string& program, const char* console) {
  // A file of its own: PID 1's console is set not to block. Where there is none, PID 1's must do.
  // Without CLOEXEC, for it may be opened into a free standard number.
  UniqueFd fresh(open(console, O_RDWR | O_NOCTTY));
  for (int fd = STDIN_FILENO; fresh && fd <= STDERR_FILENO; ++fd) dup2(fresh.get(), fd);
  if (fresh.get() > STDERR_FILENO) {
    fresh.Reset();
  } else {
    [[maybe_unused]] const int kept = fresh.Release();
  }
  // Handlers do not outlive the exec, blocked signals do.
  sigset_t none;
  sigset_t old;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, &old);
  char* const argv[] = {const_cast<char*>(program.c_str()), nullptr};
  execv(program.c_str(), argv);
  Error error{"berth.init", errno, program, "the root file system needs this program"};
  sigprocmask(SIG_SETMASK, &old, nullptr);
  OpenConsole();  // a host that does not read must not hold what comes now
  return error;
}

}  // namespace berth::init
