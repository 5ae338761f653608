// SPDX-License-Identifier: Apache-2.0
#include "init/holders.h"

#include <dirent.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>

#include "protocol/base/io.h"

namespace berth::init {
namespace {

bool LinkLeadsBelow(const std::string& link, std::string_view path) {
  char buffer[PATH_MAX];
  const ssize_t n = readlink(link.c_str(), buffer, sizeof(buffer));
  if (n <= 0) return false;
  const std::string_view target(buffer, static_cast<size_t>(n));
  return target.starts_with(path) &&
         (target.size() == path.size() || target[path.size()] == '/' || path.ends_with('/'));
}

bool AnyFileBelow(const std::string& folder, std::string_view path) {
  DIR* dir = opendir(folder.c_str());
  if (dir == nullptr) return false;
  bool found = false;
  while (const dirent* entry = readdir(dir)) {
    if (entry->d_name[0] != '.' && LinkLeadsBelow(folder + "/" + entry->d_name, path)) {
      found = true;
      break;
    }
  }
  closedir(dir);
  return found;
}

bool Holds(const std::string& process, std::string_view path) {
  return LinkLeadsBelow(process + "/cwd", path) || LinkLeadsBelow(process + "/root", path) ||
         LinkLeadsBelow(process + "/exe", path) || AnyFileBelow(process + "/fd", path);
}

}  // namespace

std::string HoldersOf(std::string_view path) {
  std::string names;
  int named = 0;
  DIR* proc = opendir("/proc");
  if (proc == nullptr) return names;
  while (const dirent* entry = readdir(proc)) {
    const std::string_view pid = entry->d_name;
    if (!std::ranges::all_of(pid, [](char c) { return c >= '0' && c <= '9'; })) continue;
    const std::string process = std::string("/proc/") + entry->d_name;
    if (!Holds(process, path)) continue;
    if (named++ == kMaxHoldersNamed) {
      names += ", ...";
      break;
    }
    constexpr size_t kMaxCommBytes = 256;
    const auto comm = ReadFile((process + "/comm").c_str(), kMaxCommBytes);
    if (!names.empty()) names += ", ";
    names += comm ? comm->substr(0, comm->find('\n')) : "?";
    names += " (";
    names += pid;
    names += ")";
  }
  closedir(proc);
  return names;
}

}  // namespace berth::init
