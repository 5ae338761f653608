// SPDX-License-Identifier: Apache-2.0
#include "init/finish.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "init/console.h"
#include "init/holders.h"
#include "init/root.h"
#include "protocol/base/parse.h"
#include "protocol/base/unique_fd.h"

namespace berth::init {
namespace {

constexpr size_t kMaxMountsBytes = 1024 * 1024;
constexpr int kForkAgainMs = 100;

// Nothing of these outlives the machine.
constexpr std::array kInMemory = std::to_array<std::string_view>(
    {"proc",   "sysfs",   "devtmpfs",  "devpts",      "tmpfs",   "ramfs",      "rootfs",
     "cgroup", "cgroup2", "mqueue",    "debugfs",     "tracefs", "securityfs", "configfs",
     "bpf",    "pstore",  "hugetlbfs", "binfmt_misc", "erofs",   "squashfs"});

void TakeDown(const MountEntry& entry) {
  const bool stays = entry.target == "/" || entry.target == kUpperPath;
  if (!stays && umount2(entry.target.c_str(), UMOUNT_NOFOLLOW) == 0) return;
  if (!stays) {
    const int errnum = errno;
    const std::string holders = errnum == EBUSY ? HoldersOf(entry.target) : "";
    Warn(Error{"unmount", errnum, entry.target, holders.empty() ? "" : "held by " + holders});
  }
  // What cannot go is at least left clean.
  if (mount(nullptr, entry.target.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
    Warn(Error{"remount-read-only", errno, entry.target, ""});
  }
}

void TakeDownAll() {
  for (const MountEntry& entry : TakedownOrder(ReadMounts("/proc/self/mounts", kMaxMountsBytes))) {
    TakeDown(entry);
  }
  sync();
}

}  // namespace

std::vector<MountEntry> TakedownOrder(std::string_view mounts) {
  std::vector<MountEntry> entries;
  while (!mounts.empty()) {
    std::string_view line = Cut(mounts, '\n');
    Cut(line, ' ');  // source
    std::string target = UnescapeMountField(Cut(line, ' '));
    std::string fstype(Cut(line, ' '));
    if (target.empty() || std::ranges::find(kInMemory, fstype) != kInMemory.end()) continue;
    entries.push_back({std::move(target), std::move(fstype)});
  }
  const auto rank = [](const MountEntry& entry) {
    if (entry.target == kUpperPath) return 2;
    return entry.target == "/" ? 1 : 0;
  };
  std::vector<MountEntry> order;
  for (int round = 0; round < 3; ++round) {
    for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
      if (rank(*entry) == round) order.push_back(*entry);
    }
  }
  return order;
}

std::string ReadMounts(const char* path, size_t max_bytes) {
  const UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC));
  if (!fd) Warn(Error{"unmount", errno, path, ""});
  std::string text(max_bytes, '\0');
  size_t used = 0;
  while (fd && used < max_bytes) {
    const ssize_t n = read(fd.get(), text.data() + used, max_bytes - used);
    if (n <= 0) break;
    used += static_cast<size_t>(n);
  }
  // Of a line that was cut, the target may be another mount's.
  text.resize(used);
  text.resize(text.rfind('\n') + 1);
  return text;
}

bool DoInChildren(std::span<void (*const)()> works, Deadline deadline) {
  sigset_t ended;
  sigemptyset(&ended);
  sigaddset(&ended, SIGCHLD);
  std::vector<pid_t> children;
  for (size_t done = 0; done < works.size();) {
    // One that cannot be had now may be had when another process has ended.
    while (children.size() < works.size()) {
      const pid_t child = fork();
      if (child < 0) break;
      if (child == 0) {
        works[children.size()]();
        _exit(0);
      }
      children.push_back(child);
    }
    for (pid_t& child : children) {
      if (child == 0 || waitpid(child, nullptr, WNOHANG) == 0) continue;
      child = 0;
      ++done;
    }
    if (done == works.size()) break;
    if (deadline.Passed()) return false;
    int left_ms = deadline.PollTimeoutMs();
    if (children.size() < works.size()) left_ms = std::min(left_ms, kForkAgainMs);
    const timespec left{left_ms / 1000, (left_ms % 1000) * 1'000'000L};
    sigtimedwait(&ended, nullptr, &left);
  }
  return true;
}

void Finish(ShutdownMode mode, std::chrono::milliseconds wait) {
  // In children: a disk that does not answer holds them in the kernel, and PID 1 goes on. At the
  // same time, so that an unmount that hangs does not cost the other disks their last writes.
  void (*const works[])() = {sync, TakeDownAll};
  if (!DoInChildren(works, Deadline::In(wait))) {
    Warn(Error{"sync", ETIMEDOUT, "a disk did not answer; its last writes may be lost", ""});
  }
  EndMachine(mode);
}

}  // namespace berth::init
