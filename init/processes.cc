// SPDX-License-Identifier: Apache-2.0
#include "init/processes.h"

#include <dirent.h>
#include <signal.h>

#include <algorithm>
#include <charconv>
#include <string>

#include "protocol/base/io.h"

namespace berth::init {
namespace {

constexpr size_t kMaxStatBytes = 4096;
constexpr unsigned kKernelThread = 0x00200000;  // PF_KTHREAD of include/linux/sched.h

std::string_view Field(std::string_view text, int number) {
  for (; number > 0; --number) {
    const size_t blank = text.find(' ');
    if (blank == std::string_view::npos) return {};
    text.remove_prefix(blank + 1);
  }
  return text.substr(0, text.find(' '));
}

template <typename T>
std::optional<T> Number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Calls `visit` with each process of user space but PID 1 until it returns false.
template <typename Visit>
void ForEachProcess(Visit visit) {
  DIR* proc = opendir("/proc");
  if (proc == nullptr) return;
  while (const dirent* entry = readdir(proc)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    // Gone already: not ours to worry about.
    const auto text =
        ReadFile((std::string("/proc/") + entry->d_name + "/stat").c_str(), kMaxStatBytes);
    if (!text) continue;
    const auto process = ParseStat(*text);
    if (process && process->pid != 1 && !process->kernel && !visit(*process)) break;
  }
  closedir(proc);
}

}  // namespace

std::optional<Process> ParseStat(std::string_view text) {
  // "412 (name) S 1 412 412 0 -1 4194304 ...": state is field 3, flags are field 9.
  const size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos || name_end + 2 > text.size()) return std::nullopt;
  const auto pid = Number<pid_t>(Field(text, 0));
  const std::string_view after_name = text.substr(name_end + 2);
  const auto flags = Number<unsigned>(Field(after_name, 6));
  if (!pid || !flags) return std::nullopt;
  const char state = after_name[0];
  return Process{*pid, state == 'Z' || state == 'X', (*flags & kKernelThread) != 0};
}

void SignalAllBut(pid_t spared, int signal) {
  ForEachProcess([&](const Process& process) {
    if (process.pid != spared) kill(process.pid, signal);
    return true;
  });
}

std::optional<Process> FindOther(pid_t spared) {
  std::optional<Process> found;
  ForEachProcess([&](const Process& process) {
    if (process.pid == spared) return true;
    found = process;
    return process.zombie;
  });
  return found;
}

}  // namespace berth::init
