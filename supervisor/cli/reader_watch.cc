// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/reader_watch.h"

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "supervisor/daemon/kinds.h"

namespace berth::cli {

void EndWithReader() {
  struct stat info{};
  if (fstat(STDOUT_FILENO, &info) != 0 || (!S_ISFIFO(info.st_mode) && !S_ISSOCK(info.st_mode))) {
    return;
  }
  // Signals are the other threads' to take.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  std::thread([] {
    pollfd reader{.fd = STDOUT_FILENO, .events = 0, .revents = 0};
    while (poll(&reader, 1, -1) < 0) {
      if (errno != EINTR) return;
    }
    _exit(daemon::kExitSignalBase + SIGPIPE);
  }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace berth::cli
