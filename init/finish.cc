// SPDX-License-Identifier: Apache-2.0
#include "init/finish.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "init/console.h"
#include "init/holders.h"
#include "init/root.h"
#include "protocol/base/io.h"

namespace berth::init {
namespace {

constexpr size_t kMaxMountsBytes = 1024 * 1024;

// Nothing of these outlives the machine.
constexpr std::array kInMemory = std::to_array<std::string_view>(
    {"proc",   "sysfs",   "devtmpfs",  "devpts",      "tmpfs",   "ramfs",      "rootfs",
     "cgroup", "cgroup2", "mqueue",    "debugfs",     "tracefs", "securityfs", "configfs",
     "bpf",    "pstore",  "hugetlbfs", "binfmt_misc", "erofs",   "squashfs"});

// "\040" -> " ", as /proc/self/mounts writes blanks, tabs, newlines and backslashes.
std::string Unescape(std::string_view text) {
  const auto digit = [](char c) { return c >= '0' && c <= '7'; };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && digit(text[i + 1]) && digit(text[i + 2]) &&
        digit(text[i + 3])) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                               (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string_view TakeField(std::string_view& line) {
  const size_t end = std::min(line.find(' '), line.size());
  const std::string_view field = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return field;
}

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
  const auto mounts = ReadFile("/proc/self/mounts", kMaxMountsBytes);
  if (!mounts) return Warn(mounts.error());
  for (const MountEntry& entry : TakedownOrder(*mounts)) TakeDown(entry);
}

}  // namespace

std::vector<MountEntry> TakedownOrder(std::string_view mounts) {
  std::vector<MountEntry> entries;
  while (!mounts.empty()) {
    const size_t end = std::min(mounts.find('\n'), mounts.size());
    std::string_view line = mounts.substr(0, end);
    mounts.remove_prefix(std::min(end + 1, mounts.size()));
    TakeField(line);  // source
    std::string target = Unescape(TakeField(line));
    std::string fstype(TakeField(line));
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

void Finish(ShutdownMode mode, std::chrono::milliseconds wait) {
  // In a child: a disk that does not answer holds it in the kernel, and PID 1 goes on.
  const pid_t child = fork();
  if (child == 0) {
    TakeDownAll();
    sync();
    _exit(0);
  }
  if (child < 0) {
    Warn(Error{"fork", errno, "syncing without unmounting", ""});
    sync();
    EndMachine(mode);
  }
  sigset_t ended;
  sigemptyset(&ended);
  sigaddset(&ended, SIGCHLD);
  const auto deadline = Deadline::In(wait);
  while (waitpid(child, nullptr, WNOHANG) == 0) {
    if (deadline.Passed()) {
      Warn(Error{"sync", ETIMEDOUT, "a disk did not answer; its last writes may be lost", ""});
      break;
    }
    const int left_ms = deadline.PollTimeoutMs();
    const timespec left{left_ms / 1000, (left_ms % 1000) * 1'000'000L};
    sigtimedwait(&ended, nullptr, &left);
  }
  EndMachine(mode);
}

}  // namespace berth::init
