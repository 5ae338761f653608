// SPDX-License-Identifier: Apache-2.0
#include "init/open_files.h"

#include <sys/resource.h>

#include <algorithm>
#include <optional>

#include "init/config.h"
#include "init/console.h"

namespace berth::init {
namespace {

// Of each service: two pipes with both ends, two spools, its sockets and what watches it.
constexpr rlim_t kWantedFiles = kMaxServices * 32;

std::optional<rlimit> inherited;

}  // namespace

void RaiseOpenFiles() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  inherited = limit;
  limit.rlim_cur = std::max(limit.rlim_cur, kWantedFiles);
  limit.rlim_max = std::max(limit.rlim_max, limit.rlim_cur);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) Warn(Error{"open-files", errno, "RLIMIT_NOFILE", ""});
}

SpawnRlimit InheritedOpenFiles() {
  SpawnRlimit limit{RLIMIT_NOFILE, {}};
  if (inherited) {
    limit.limit = *inherited;
  } else {
    getrlimit(RLIMIT_NOFILE, &limit.limit);
  }
  return limit;
}

}  // namespace berth::init
