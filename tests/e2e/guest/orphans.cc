// SPDX-License-Identifier: Apache-2.0
//
// Makes orphans: COUNT processes whose parent is gone, which then all end, BATCH of them at the
// same moment, so that SIGCHLDs coalesce. Prints how many it made, how long the slowest `PROGRAM…`
// run between two batches took, and how many zombies are left: "orphans 10000 slowest_ms 31
// zombies 0".
//
// usage: e2e-orphans COUNT BATCH [PROGRAM ARG…]
// Exit code: 0 where no zombie is left and PROGRAM always ended with 0, 1 else, 2 for a wrong call.
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/unique_fd.h"

extern char** environ;

namespace {

using std::chrono_literals::operator""s;

// Zombies of others are an event to nobody but their parent, so this one looks again and again.
constexpr auto kReapTimeout = 10s;

int Complain(const char* what) {
  std::perror(what);
  return 1;
}

// A child makes the orphans, each waiting at the gate, and ends. Then the gate opens.
bool MakeBatch(int count) {
  int gate[2];
  int alive[2];
  if (pipe2(gate, O_CLOEXEC) != 0 || pipe2(alive, O_CLOEXEC) != 0) return false;
  berth::UniqueFd gate_out(gate[0]);
  berth::UniqueFd gate_in(gate[1]);
  berth::UniqueFd alive_out(alive[0]);
  berth::UniqueFd alive_in(alive[1]);
  const pid_t parent = fork();
  if (parent < 0) return false;
  if (parent == 0) {
    gate_in.Reset();
    for (int i = 0; i < count; ++i) {
      const pid_t orphan = fork();
      if (orphan < 0) _exit(1);
      if (orphan == 0) {
        char none = 0;
        _exit(read(gate_out.get(), &none, 1) == 0 ? 0 : 1);
      }
    }
    _exit(0);
  }
  int status = 0;
  if (waitpid(parent, &status, 0) != parent || status != 0) return false;
  gate_in.Reset();
  alive_in.Reset();
  // Ends when the last orphan has: only they still hold the other end.
  char none = 0;
  return read(alive_out.get(), &none, 1) == 0;
}

// All processes of the machine that nobody has waited for.
int CountZombies() {
  DIR* proc = opendir("/proc");
  if (proc == nullptr) return -1;
  int zombies = 0;
  while (const dirent* entry = readdir(proc)) {
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
    const std::string path = std::string("/proc/") + entry->d_name + "/stat";
    const berth::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::array<char, 256> text{};
    if (!fd || read(fd.get(), text.data(), text.size() - 1) <= 0) continue;
    // "1234 (name) S …"; the name may hold anything.
    const char* name_end = std::strrchr(text.data(), ')');
    if (name_end != nullptr && name_end[1] == ' ' && name_end[2] == 'Z') ++zombies;
  }
  closedir(proc);
  return zombies;
}

// Milliseconds that the program took; -1 where it did not end with 0.
long TimeProgram(char** argv) {
  const auto before = std::chrono::steady_clock::now();
  pid_t pid = -1;
  int status = 0;
  if (posix_spawn(&pid, argv[0], nullptr, nullptr, argv, environ) != 0) return -1;
  if (waitpid(pid, &status, 0) != pid || status != 0) return -1;
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               before)
      .count();
}

}  // namespace

int main(int argc, char** argv) {
  const int count = argc > 2 ? std::atoi(argv[1]) : 0;
  const int batch = argc > 2 ? std::atoi(argv[2]) : 0;
  if (count <= 0 || batch <= 0) {
    std::fputs("usage: e2e-orphans COUNT BATCH [PROGRAM ARG...]\n", stderr);
    return 2;
  }
  long slowest = 0;
  bool answered = true;
  for (int made = 0; made < count; made += batch) {
    if (!MakeBatch(std::min(batch, count - made))) return Complain("e2e-orphans: fork");
    if (argc > 3) {
      const long took = TimeProgram(argv + 3);
      answered = answered && took >= 0;
      slowest = std::max(slowest, took);
    }
  }
  const auto deadline = berth::Deadline::In(kReapTimeout);
  int zombies = CountZombies();
  while (zombies != 0 && !deadline.Passed()) {
    sched_yield();  // a zombie's end tells nobody but its parent
    zombies = CountZombies();
  }
  std::printf("orphans %d slowest_ms %ld zombies %d\n", count, slowest, zombies);
  return zombies == 0 && answered ? 0 : 1;
}
