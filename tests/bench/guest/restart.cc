// SPDX-License-Identifier: Apache-2.0
//
// How long a killed service is away. As the service it writes its pid into a FIFO and stays; as the
// measurer it kills whom the FIFO named last and waits until the next pid arrives, so what is
// measured ends with an event and not with a look. Between two rounds it does the same to a child
// of its own, which it reaps and spawns again itself: the floor.
//
// usage: bench-restart --service FIFO
//        bench-restart FIFO ROUNDS    prints `restart NS` and `floor NS`, a line each round
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/io.h"
#include "protocol/base/log.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

extern char** environ;

namespace {

using std::chrono_literals::operator""s;

constexpr auto kRoundTimeout = 20s;

[[noreturn]] void Die(const std::string& what) {
  berth::Log(berth::LogLevel::kError, "bench-restart", what);
  _exit(1);
}

// For reading and writing: neither end then waits for the other, and a pid that was written stays
// for as long as somebody has the FIFO open.
berth::UniqueFd OpenFifo(const std::string& path) {
  if (mkfifo(path.c_str(), 0600) != 0 && errno != EEXIST)
    Die(path + ": " + berth::ErrnoName(errno));
  berth::UniqueFd fifo(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fifo) Die(path + ": " + berth::ErrnoName(errno));
  return fifo;
}

pid_t NextPid(int fifo) {
  pid_t pid = 0;
  const auto read = berth::ReadFull(fifo, std::as_writable_bytes(std::span(&pid, 1)),
                                    berth::Deadline::In(kRoundTimeout));
  if (!read) Die("nobody came up: " + read.error().Message());
  return pid;
}

void Serve(const std::string& path) {
  const berth::UniqueFd fifo = OpenFifo(path);
  const pid_t self = getpid();
  if (write(fifo.get(), &self, sizeof(self)) != sizeof(self)) Die("write: the FIFO took no pid");
  for (;;) pause();
}

void Spawn(const std::string& fifo) {
  std::string program = "/proc/self/exe";
  std::string service = "--service";
  std::string path = fifo;
  char* argv[] = {program.data(), service.data(), path.data(), nullptr};
  pid_t pid = -1;
  if (const int error = posix_spawn(&pid, argv[0], nullptr, nullptr, argv, environ); error != 0)
    Die("posix_spawn: " + berth::ErrnoName(error));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    berth::Log(berth::LogLevel::kError, "bench-restart",
               "usage: bench-restart --service FIFO | FIFO ROUNDS");
    return 2;
  }
  if (std::strcmp(argv[1], "--service") == 0) Serve(argv[2]);

  const std::string path = argv[1];
  const std::string own_path = path + ".floor";
  const berth::UniqueFd fifo = OpenFifo(path);
  const berth::UniqueFd own_fifo = OpenFifo(own_path);
  pid_t service = NextPid(fifo.get());
  Spawn(own_path);
  pid_t child = NextPid(own_fifo.get());
  for (int i = std::atoi(argv[2]); i > 0; --i) {
    int64_t begin = berth::MonotonicNs();
    if (kill(service, SIGKILL) != 0) Die("kill: " + berth::ErrnoName(errno));
    service = NextPid(fifo.get());
    std::printf("restart %lld\n", static_cast<long long>(berth::MonotonicNs() - begin));

    begin = berth::MonotonicNs();
    if (kill(child, SIGKILL) != 0 || waitpid(child, nullptr, 0) != child)
      Die("own child: " + berth::ErrnoName(errno));
    Spawn(own_path);
    child = NextPid(own_fifo.get());
    std::printf("floor %lld\n", static_cast<long long>(berth::MonotonicNs() - begin));
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  return 0;
}
