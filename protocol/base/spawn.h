// SPDX-License-Identifier: Apache-2.0
//
// Spawn: start a program in a child whose whole setting is spelled out by one value.
//
// PID 1 starts services with it, the agent starts exec sessions, the supervisor starts shims. The
// child shares the caller's memory until it execs (CLONE_VM | CLONE_VFORK): no page table is
// copied, which under emulation costs more than the program that is started, and the child reports
// the step that failed straight into the caller's memory. Everything the child runs is
// async-signal-safe: system calls on prepared data.
#ifndef BERTH_PROTOCOL_BASE_SPAWN_H_
#define BERTH_PROTOCOL_BASE_SPAWN_H_

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth {

// `from` in the caller becomes `to` in the child.
struct SpawnFd {
  int from;
  int to;
};

struct SpawnCredentials {
  uid_t uid = 0;
  gid_t gid = 0;
  std::span<const gid_t> groups;  // supplementary; replaces the caller's
};

inline constexpr size_t kSpawnPidBytes = 12;

struct SpawnRlimit {
  int resource;  // RLIMIT_*
  rlimit limit;
};

inline constexpr size_t kMaxSpawnFds = 64;

struct SpawnPlan {
  // Searched in `search_path` (as $PATH is) where it has no '/', by the child, with the child's
  // rights.
  const char* program = nullptr;
  const char* search_path = nullptr;
  char* const* argv = nullptr;  // null-terminated
  char* const* envp = nullptr;  // null-terminated
  // Where the child writes its own process number, in digits with a null: a place of at least
  // kSpawnPidBytes within a string of `envp`, for who speaks of a process in its own environment.
  char* pid_text = nullptr;
  const char* cwd = nullptr;  // nullptr: the caller's
  // What the child holds open. Any descriptor not named here is closed, whatever its flags.
  std::span<const SpawnFd> fds;
  bool new_session = false;
  int controlling_tty = -1;  // number in the child; needs new_session
  std::optional<SpawnCredentials> credentials;
  std::span<const SpawnRlimit> rlimits;
  int cgroup_procs =
      -1;  // descriptor of a cgroup.procs that the child writes itself into, before all else
  // Descriptor of a cgroup's directory in which the child begins its life (Linux 5.7): no lock of
  // all processes is taken, as a move from one cgroup to another takes it.
  int cgroup = -1;
  int parent_death_signal = 0;  // sent to the child when the calling *thread* ends
  bool no_new_privs = false;
  // Exactly these the program has, bit n for capability n, whoever it runs as: all others leave the
  // bounding set, so that no program it starts regains them. None: what the kernel gives that user.
  std::optional<uint64_t> capabilities;
  // Signals whose disposition the caller may have changed (bit n - 1 for signal n): the child sets
  // them back. One system call each, which a caller that starts many programs and knows its own
  // dispositions can save. Under CLONE_VM a caller's handler must never be left out.
  uint64_t changed_signals = ~uint64_t{0};
  // The caller runs under another scheduling policy than SCHED_OTHER, which the child does not
  // share.
  bool reset_scheduling = false;
};

struct Spawned {
  pid_t pid = -1;
  UniqueFd pidfd;  // becomes readable when the child ends; the caller reaps it
};

// Starts the program and returns once it has been exec'd. On failure no child remains, and
// Error::step is one of: clone, cgroup, session, controlling-tty, fds, rlimit, bounding-set,
// groups, gid, uid, capabilities, chdir, parent-death-signal, no-new-privs, scheduling, exec. The
// child starts with an empty signal mask, default dispositions and umask 022.
Result<Spawned> Spawn(const SpawnPlan& plan);

}  // namespace berth

#endif  // BERTH_PROTOCOL_BASE_SPAWN_H_
