// SPDX-License-Identifier: Apache-2.0
#include "init/service_cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "init/console.h"
#include "protocol/base/io.h"

namespace berth::init {
namespace {

constexpr const char* kCgroupParent = "/berth";
constexpr size_t kMaxProcsBytes = 256 * 1024;
constexpr int kKillRounds = 8;  // what forks while it is killed is met again
constexpr int64_t kCpuPeriodUs = 100'000;
// Of what a service left behind, in one start: who leaves more than that does not hold PID 1.
constexpr int kMaxLeftDepth = 8;
constexpr int kMaxLeftCgroups = 1024;
constexpr size_t kMaxControllersBytes = 4096;

struct Controller {
  const char* name;
  bool (*wanted)(const LimitsConfig& limits);
  // It counts what a service uses, also where nothing is limited. cpu.stat is there without one,
  // and cpu itself has its price in each switch of tasks.
  bool counts;
};
constexpr Controller kControllers[] = {
    {"memory", [](const LimitsConfig& limits) { return limits.memory_bytes != 0; }, true},
    {"pids", [](const LimitsConfig& limits) { return limits.pids != 0; }, true},
    {"io", [](const LimitsConfig&) { return false; }, true},
    {"cpu", [](const LimitsConfig& limits) { return limits.cpus > 0; }, false},
};

// One at a time: a list with one missing controller enables none.
Result<> Enable(const std::string& cgroup, const char* controller) {
  return WriteKnob((cgroup + "/cgroup.subtree_control").c_str(), std::string("+") + controller);
}

// What a service made below its cgroup and left behind, and the controllers that it passed on
// there: with one of them, the kernel lets no process into the cgroup itself (EBUSY).
void RemoveCgroupsBelow(const std::string& cgroup, int depth, int& left) {
  if (depth == kMaxLeftDepth) return;
  DIR* const dir = opendir(cgroup.c_str());
  if (dir == nullptr) return;
  while (const dirent* entry = readdir(dir)) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    if (left-- <= 0) break;
    const std::string below = cgroup + "/" + entry->d_name;
    RemoveCgroupsBelow(below, depth + 1, left);
    rmdir(below.c_str());
  }
  closedir(dir);
  const std::string knob = cgroup + "/cgroup.subtree_control";
  const auto controllers = ReadFile(knob.c_str(), kMaxControllersBytes);
  if (!controllers || controllers->empty()) return;
  std::string off = "-";
  for (const char c : *controllers) {
    if (c == ' ') {
      off += " -";
    } else {
      off += c;
    }
  }
  // One line is enough of a tree that does not go.
  if (auto written = WriteKnob(knob.c_str(), off); !written && depth == 0) Warn(written.error());
}

}  // namespace

std::string CpuMax(double cpus) {
  const auto quota = static_cast<int64_t>(cpus * static_cast<double>(kCpuPeriodUs));
  return std::to_string(std::max<int64_t>(quota, 1000)) + " " + std::to_string(kCpuPeriodUs);
}

void ServiceCgroups::Open(const std::string& root, const Config& config) {
  struct statfs info = {};
  const bool is_cgroup2 = statfs(root.c_str(), &info) == 0 &&
                          static_cast<unsigned long>(info.f_type) == CGROUP2_SUPER_MAGIC;
  const std::string parent = root + kCgroupParent;
  if (!is_cgroup2 || (mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST)) {
    if (!config.services.empty()) {
      Warn("cgroup: no cgroup2 at " + root +
           ": services run without limits, and what leaves a service's session outlives it");
    }
    return;
  }
  parent_ = parent;
  root_ = root;
  EnableControllers(config);
}

void ServiceCgroups::EnableControllers(const Config& config) const {
  if (!present()) return;
  for (const Controller& each : kControllers) {
    const auto wants = [&](const ServiceConfig& service) { return each.wanted(service.limits); };
    const bool wanted = std::ranges::any_of(config.services, wants);
    if (!wanted && (!each.counts || config.services.empty())) continue;
    auto enabled = Enable(root_, each.name);
    if (enabled) enabled = Enable(parent_, each.name);
    if (!enabled && wanted) {
      Warn(Error{"cgroup", enabled.error().errnum,
                 std::string("no controller ") + each.name + ": its limits do not hold",
                 "the kernel needs it built in (CONFIG_MEMCG, CONFIG_CGROUP_PIDS, "
                 "CONFIG_CFS_BANDWIDTH)"});
    }
  }
}

void ServiceCgroups::WarnOnce(const Error& error) {
  if (said_.insert(error.detail).second) Warn(error);
}

UniqueFd ServiceCgroups::Prepare(const ServiceConfig& service) {
  if (!present()) return {};
  const std::string path = PathOf(service.name);
  if (mkdir(path.c_str(), 0755) != 0) {
    if (errno != EEXIST) {
      Warn(Error{"cgroup", errno, path, ""});
      return {};
    }
    int left = kMaxLeftCgroups;
    RemoveCgroupsBelow(path, 0, left);
  }
  const auto set = [&](const char* knob, const std::string& value) {
    const std::string file = path + knob;
    if (access(file.c_str(), F_OK) != 0) {
      return WarnOnce(Error{"cgroup", errno, file, "this limit does not hold"});
    }
    if (auto written = WriteKnob(file.c_str(), value); !written) Warn(written.error());
  };
  const LimitsConfig& limits = service.limits;
  if (limits.memory_bytes != 0) set("/memory.max", std::to_string(limits.memory_bytes));
  if (limits.pids != 0) set("/pids.max", std::to_string(limits.pids));
  if (limits.cpus > 0) set("/cpu.max", CpuMax(limits.cpus));
  return Procs(service.name);
}

UniqueFd ServiceCgroups::Procs(std::string_view name) {
  if (!present()) return {};
  const std::string path = PathOf(name) + "/cgroup.procs";
  UniqueFd procs(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!procs) WarnOnce(Error{"cgroup", errno, path, "the service runs outside its cgroup"});
  return procs;
}

UniqueFd ServiceCgroups::Events(std::string_view name) const {
  if (!present()) return {};
  return UniqueFd(open((PathOf(name) + "/cgroup.events").c_str(), O_RDONLY | O_CLOEXEC));
}

bool ServiceCgroups::IsPopulated(int events) {
  char text[256];
  const ssize_t n = pread(events, text, sizeof(text), 0);
  return n > 0 && std::string_view(text, static_cast<size_t>(n)).contains("populated 1");
}

bool ServiceCgroups::Kill(std::string_view name) const {
  if (!present()) return false;
  const std::string path = PathOf(name);
  if (WriteKnob((path + "/cgroup.kill").c_str(), "1")) return true;
  // Linux before 5.14 has no such file.
  for (int round = 0; round < kKillRounds; ++round) {
    const auto procs = ReadFile((path + "/cgroup.procs").c_str(), kMaxProcsBytes);
    if (!procs) return false;
    std::string_view rest = *procs;
    if (rest.empty()) return true;
    while (!rest.empty()) {
      pid_t pid = 0;
      const auto [end, code] = std::from_chars(rest.data(), rest.data() + rest.size(), pid);
      if (code == std::errc() && pid > 1) kill(pid, SIGKILL);
      rest.remove_prefix(std::min(rest.find('\n'), rest.size() - 1) + 1);
    }
  }
  return true;
}

bool ServiceCgroups::Holds(std::string_view name, pid_t pid) const {
  if (!present()) return false;
  const auto text = ReadFile(("/proc/" + std::to_string(pid) + "/cgroup").c_str(), 4096);
  if (!text) return false;
  // "0::/berth/NAME", or a cgroup that the service made below its own.
  const std::string line = std::string("0::") + kCgroupParent + "/" + std::string(name);
  const size_t at = text->find(line);
  if (at == std::string::npos || (at != 0 && (*text)[at - 1] != '\n')) return false;
  const size_t end = at + line.size();
  return end == text->size() || (*text)[end] == '\n' || (*text)[end] == '/';
}

}  // namespace berth::init
