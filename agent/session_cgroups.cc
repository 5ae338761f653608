// SPDX-License-Identifier: Apache-2.0
#include "agent/session_cgroups.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "protocol/base/control.h"
#include "protocol/base/io.h"
#include "protocol/base/log.h"

namespace berth::agent {
namespace {

constexpr int kSweepBatch = 2;
constexpr size_t kMaxProcsBytes = 256 * 1024;
constexpr int kKillRounds = 8;  // what forks while it is killed is met again

bool IsPopulated(int events) {
  char text[256];
  const ssize_t n = pread(events, text, sizeof(text), 0);
  return n <= 0 || std::string_view(text, static_cast<size_t>(n)).contains("populated 1");
}

}  // namespace

SessionCgroups::SessionCgroups(const std::string& root) : prefix_(std::to_string(getpid()) + "-") {
  struct statfs info = {};
  if (statfs(root.c_str(), &info) != 0 ||
      static_cast<unsigned long>(info.f_type) != CGROUP2_SUPER_MAGIC) {
    return;
  }
  const std::string path = root + "/" + kSessionsCgroup;
  if (mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) {
    parent_.Reset(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  if (!parent_) {
    Log(LogLevel::kWarning, "berth-agent",
        Error{"cgroup", errno, path, "sessions are ended by process group"}.Message());
    return;
  }
  DIR* const dir = opendir(path.c_str());
  if (dir == nullptr) return;
  while (const dirent* entry = readdir(dir)) {
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') left_.emplace_back(entry->d_name);
  }
  closedir(dir);
}

SessionCgroups::Lease SessionCgroups::Take() {
  if (!parent_) return {};
  if (!idle_.empty()) {
    Cgroup cgroup = std::move(idle_.back());
    idle_.pop_back();
    return {this, std::move(cgroup)};
  }
  Cgroup cgroup;
  cgroup.name = prefix_ + std::to_string(++made_);
  if (mkdirat(parent_.get(), cgroup.name.c_str(), 0755) != 0) return {};
  cgroup.dir.Reset(openat(parent_.get(), cgroup.name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  cgroup.events.Reset(openat(cgroup.dir.get(), "cgroup.events", O_RDONLY | O_CLOEXEC));
  if (!cgroup.events) {
    unlinkat(parent_.get(), cgroup.name.c_str(), AT_REMOVEDIR);
    return {};
  }
  return {this, std::move(cgroup)};
}

void SessionCgroups::Return(Cgroup cgroup, bool spoilt) {
  Sweep();
  if (IsPopulated(cgroup.events.get())) {
    left_.push_back(std::move(cgroup.name));
  } else if (idle_.size() < kMaxIdle && !spoilt) {
    idle_.push_back(std::move(cgroup));
  } else if (unlinkat(parent_.get(), cgroup.name.c_str(), AT_REMOVEDIR) != 0) {
    left_.push_back(std::move(cgroup.name));
  }
}

void SessionCgroups::Sweep() {
  for (int i = 0; i < kSweepBatch && !left_.empty(); ++i) {
    std::string name = std::move(left_.front());
    left_.pop_front();
    if (unlinkat(parent_.get(), name.c_str(), AT_REMOVEDIR) != 0 && errno == EBUSY) {
      left_.push_back(std::move(name));
    }
  }
}

void SessionCgroups::Lease::KillAll() const {
  if (!cgroup_.dir) return;
  const UniqueFd kill_all(openat(cgroup_.dir.get(), "cgroup.kill", O_WRONLY | O_CLOEXEC));
  if (kill_all && write(kill_all.get(), "1", 1) == 1) return;
  // Linux before 5.14 has no such file.
  const std::string path = "/proc/self/fd/" + std::to_string(cgroup_.dir.get()) + "/cgroup.procs";
  for (int round = 0; round < kKillRounds; ++round) {
    const auto procs = ReadFile(path.c_str(), kMaxProcsBytes);
    if (!procs || procs->empty()) return;
    std::string_view rest = *procs;
    while (!rest.empty()) {
      pid_t pid = 0;
      const auto [end, code] = std::from_chars(rest.data(), rest.data() + rest.size(), pid);
      if (code == std::errc() && pid > 1) kill(pid, SIGKILL);
      rest.remove_prefix(std::min(rest.find('\n'), rest.size() - 1) + 1);
    }
  }
}

}  // namespace berth::agent
