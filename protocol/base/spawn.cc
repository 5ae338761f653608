// SPDX-License-Identifier: Apache-2.0
#include "protocol/base/spawn.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <cstring>

namespace berth {
namespace {

// What the child leaves behind for its parent, in the memory they share.
struct ChildReport {
  const Step* failed_step = nullptr;
  int errnum = 0;
};

struct ChildContext {
  const SpawnPlan* plan;
  pid_t parent;
  ChildReport* report;
};

constexpr Step kClone = "clone";
constexpr Step kCgroup = "cgroup";
constexpr Step kSession = "session";
constexpr Step kControllingTty = "controlling-tty";
constexpr Step kFds = "fds";
constexpr Step kRlimit = "rlimit";
constexpr Step kBoundingSet = "bounding-set";
constexpr Step kCapabilities = "capabilities";
constexpr Step kGroups = "groups";
constexpr Step kGid = "gid";
constexpr Step kUid = "uid";
constexpr Step kChdir = "chdir";
constexpr Step kParentDeathSignal = "parent-death-signal";
constexpr Step kNoNewPrivs = "no-new-privs";
constexpr Step kScheduling = "scheduling";
constexpr Step kExec = "exec";

// The caller's handlers must not run in the child, which shares the caller's memory; ignored
// signals would be inherited through exec. The table of dispositions itself is not shared (no
// CLONE_SIGHAND).
void ResetSignals(uint64_t changed) {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  for (int sig = 1; sig <= 64 && sig < _NSIG; ++sig) {
    if ((changed >> (sig - 1) & 1) != 0) sigaction(sig, &action, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Two rounds, so that no target overwrites a source that is still needed.
bool PlaceFds(std::span<const SpawnFd> fds) {
  int lifted[kMaxSpawnFds];
  if (fds.size() > kMaxSpawnFds) {
    errno = E2BIG;
    return false;
  }
  int top = -1;
  for (const SpawnFd& fd : fds) top = fd.to > top ? fd.to : top;
  for (size_t i = 0; i < fds.size(); ++i) {
    lifted[i] = fds[i].from > top ? fds[i].from : fcntl(fds[i].from, F_DUPFD_CLOEXEC, top + 1);
    if (lifted[i] < 0) return false;
  }
  // The gaps between targets go first, while the lifted sources stand above them.
  for (int fd = 0; fd <= top; ++fd) {
    bool wanted = false;
    for (const SpawnFd& each : fds) wanted |= each.to == fd;
    if (!wanted) close(fd);
  }
  for (size_t i = 0; i < fds.size(); ++i) {
    if (dup2(lifted[i], fds[i].to) < 0) return false;
  }
  return syscall(SYS_close_range, top + 1, ~0U, 0) == 0 || errno == ENOSYS;
}

void WritePid(char* to) {
  char digits[kSpawnPidBytes];
  size_t count = 0;
  // The raw call: the C library may remember the caller's.
  for (auto pid = static_cast<unsigned>(syscall(SYS_getpid)); pid != 0; pid /= 10) {
    digits[count++] = static_cast<char>('0' + pid % 10);
  }
  while (count > 0) *to++ = digits[--count];
  *to = '\0';
}

// Of the capabilities that this kernel knows; the first that it does not ends the loop.
bool DropFromBoundingSet(uint64_t kept) {
  for (unsigned cap = 0; cap < 64; ++cap) {
    const int held = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
    if (held < 0) return true;
    if (held == 1 && (kept >> cap & 1) == 0 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0) {
      return false;
    }
  }
  return true;
}

// After the change of user. Inheritable and ambient, too: that is what an exec keeps of them for a
// user that is not root.
bool SetCapabilities(uint64_t kept) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2];
  for (unsigned word = 0; word < 2; ++word) {
    const auto bits = static_cast<uint32_t>(kept >> (32 * word));
    data[word] = {bits, bits, bits};
  }
  if (syscall(SYS_capset, &header, data) != 0) return false;
  for (unsigned cap = 0; cap < 64; ++cap) {
    if ((kept >> cap & 1) != 0 && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0 &&
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) != 0) {
      return false;
    }
  }
  return true;
}

// execvpe(3) is not async-signal-safe everywhere and searches the *caller's* PATH.
void ExecSearching(const SpawnPlan& plan) {
  if (std::strchr(plan.program, '/') != nullptr || plan.search_path == nullptr) {
    execve(plan.program, plan.argv, plan.envp);
    return;
  }
  const size_t name_length = std::strlen(plan.program);
  if (name_length == 0) {
    errno = ENOENT;
    return;
  }
  // A directory that may not be searched does not hide a program that stands in a later one.
  int worst = ENOENT;
  const char* dir = plan.search_path;
  for (;;) {
    const char* end = std::strchr(dir, ':');
    const size_t length = end != nullptr ? static_cast<size_t>(end - dir) : std::strlen(dir);
    char path[PATH_MAX];
    if (length + 1 + name_length < sizeof(path)) {
      std::memcpy(path, dir, length);
      size_t at = length;
      if (length != 0) path[at++] = '/';
      std::memcpy(path + at, plan.program, name_length + 1);
      execve(path, plan.argv, plan.envp);
      if (errno == EACCES) {
        worst = EACCES;
      } else if (errno != ENOENT && errno != ENOTDIR) {
        return;
      }
    }
    if (end == nullptr) break;
    dir = end + 1;
  }
  errno = worst;
}

// Returns the step that failed, with errno set; returns only on failure.
const Step* RunChild(const SpawnPlan& plan, pid_t parent) {
  ResetSignals(plan.changed_signals);
  umask(022);
  if (plan.pid_text != nullptr) WritePid(plan.pid_text);
  // First, so that whatever the child does from here on is accounted to its cgroup.
  if (plan.cgroup_procs >= 0 && write(plan.cgroup_procs, "0", 1) != 1) return &kCgroup;
  if (plan.new_session && setsid() < 0) return &kSession;
  if (!PlaceFds(plan.fds)) return &kFds;
  if (plan.controlling_tty >= 0 && ioctl(plan.controlling_tty, TIOCSCTTY, 0) != 0) {
    return &kControllingTty;
  }
  // Limits while still privileged: raising a hard limit needs CAP_SYS_RESOURCE.
  for (const SpawnRlimit& each : plan.rlimits) {
    if (syscall(SYS_prlimit64, 0, each.resource, &each.limit, nullptr) != 0) return &kRlimit;
  }
  // Before the user changes, for it takes CAP_SETPCAP.
  if (plan.capabilities && !DropFromBoundingSet(*plan.capabilities)) return &kBoundingSet;
  if (plan.credentials) {
    // Raw calls: the C library's wrappers signal the caller's other threads, whose memory this
    // child shares. Groups, then gid, then uid: each needs a right that the next one gives up.
    const SpawnCredentials& who = *plan.credentials;
    if (syscall(SYS_setgroups, who.groups.size(), who.groups.data()) != 0) return &kGroups;
    if (syscall(SYS_setresgid, who.gid, who.gid, who.gid) != 0) return &kGid;
    // A change from root to another user would clear them all; an exec resets this.
    if (plan.capabilities && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return &kCapabilities;
    if (syscall(SYS_setresuid, who.uid, who.uid, who.uid) != 0) return &kUid;
  }
  if (plan.capabilities && !SetCapabilities(*plan.capabilities)) return &kCapabilities;
  // As the user, so that a directory closed to that user is an error here and not a surprise later.
  if (plan.cwd != nullptr && chdir(plan.cwd) != 0) return &kChdir;
  // After the uid: a change of credentials clears it. If the parent died before, nobody will send
  // it.
  if (plan.parent_death_signal != 0) {
    if (prctl(PR_SET_PDEATHSIG, plan.parent_death_signal) != 0) return &kParentDeathSignal;
    if (getppid() != parent) return &kParentDeathSignal;
  }
  // SCHED_RESET_ON_FORK would spare the call, but heeds real-time policies only. musl's wrapper
  // refuses.
  const sched_param no_priority{};
  if (plan.reset_scheduling && syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &no_priority) != 0) {
    return &kScheduling;
  }
  if (plan.no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return &kNoNewPrivs;
  ExecSearching(plan);
  return &kExec;
}

int ChildMain(void* argument) {
  const auto* context = static_cast<const ChildContext*>(argument);
  context->report->failed_step = RunChild(*context->plan, context->parent);
  context->report->errnum = errno;
  _exit(127);
}

// clone3(2), which no C library wraps: `entry(argument)` runs in the child on the stack that `args`
// names, and never returns.
long Clone3(clone_args& args, int (*entry)(void*), void* argument) {
#if defined(__x86_64__)
  long result = SYS_clone3;
  register void* r12 asm("r12") = argument;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "mov %%r12, %%rdi\n\t"
      "xor %%ebp, %%ebp\n\t"
      "call *%%rbx\n\t"
      "ud2\n"
      "1:"
      : "+a"(result)
      : "D"(&args), "S"(sizeof(args)), "b"(entry), "r"(r12)
      : "rcx", "r11", "cc", "memory");
#elif defined(__aarch64__)
  register long x8 asm("x8") = SYS_clone3;
  register long x0 asm("x0") = reinterpret_cast<long>(&args);
  register long x1 asm("x1") = sizeof(args);
  register void* x20 asm("x20") = reinterpret_cast<void*>(entry);
  register void* x21 asm("x21") = argument;
  asm volatile(
      "svc #0\n\t"
      "cbnz x0, 1f\n\t"
      "mov x0, x21\n\t"
      "mov x29, xzr\n\t"
      "blr x20\n\t"
      "brk #1\n"
      "1:"
      : "+r"(x0)
      : "r"(x8), "r"(x1), "r"(x20), "r"(x21)
      : "cc", "memory");
  const long result = x0;
#else
#error "clone3 of this architecture"
#endif
  if (result >= 0) return result;
  errno = static_cast<int>(-result);
  return -1;
}

constexpr size_t kChildStackBytes = 24 * 1024;  // PATH_MAX for the search, and room to spare

}  // namespace

Result<Spawned> Spawn(const SpawnPlan& plan) {
  alignas(16) char stack[kChildStackBytes];
  ChildReport report;
  ChildContext context{&plan, getpid(), &report};

  // No signal may find the child while it still has the caller's handlers.
  sigset_t all;
  sigset_t old;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &old);
  int pidfd = -1;
  constexpr uint64_t kFlags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD;
  pid_t pid = -1;
  if (plan.cgroup >= 0) {
    clone_args args = {};
    args.flags = kFlags | CLONE_INTO_CGROUP;
    args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
    args.exit_signal = SIGCHLD;
    args.stack = reinterpret_cast<uint64_t>(stack);
    args.stack_size = sizeof(stack);
    args.cgroup = static_cast<uint64_t>(plan.cgroup);
    pid = static_cast<pid_t>(Clone3(args, ChildMain, &context));
  } else {
    // Where there is a choice, not clone3: the filters of some containers refuse it.
    pid = clone(ChildMain, stack + sizeof(stack), static_cast<int>(kFlags | SIGCHLD), &context,
                &pidfd);
  }
  const int clone_errno = errno;
  sigprocmask(SIG_SETMASK, &old, nullptr);

  if (pid < 0) {
    return Fail(
        kClone, clone_errno, plan.program,
        clone_errno == EAGAIN ? "the limit of processes is reached (pids.max, RLIMIT_NPROC)" : "");
  }
  Spawned child{pid, UniqueFd(pidfd)};
  if (report.failed_step != nullptr) {
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return Fail(*report.failed_step, report.errnum,
                *report.failed_step == kChdir ? plan.cwd : plan.program);
  }
  return child;
}

}  // namespace berth
