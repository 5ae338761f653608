// SPDX-License-Identifier: Apache-2.0
//
// One cgroup (v2) for each service, berth/NAME below the root of the hierarchy: what it may use,
// and everything it ever forked, so that an end of it is an end of all of that. A guest without
// cgroup2 runs its services all the same, bounded by nothing and killed by process group.
#ifndef BERTH_INIT_SERVICE_CGROUP_H_
#define BERTH_INIT_SERVICE_CGROUP_H_

#include <sys/types.h>

#include <set>
#include <string>
#include <string_view>

#include "init/config.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::init {

class ServiceCgroups {
 public:
  // `root`: where cgroup2 is mounted.
  void Open(const std::string& root, const Config& config);
  // Those that a limit of a service needs. Says which are missing.
  void EnableControllers(const Config& config) const;
  bool present() const { return !parent_.empty(); }

  // Makes the service's cgroup with its limits, for a start of it: cgroups that its last life made
  // below go. A descriptor of its cgroup.procs; an empty one where there is none to be had.
  UniqueFd Prepare(const ServiceConfig& service);
  // The same descriptor, of a service that runs.
  UniqueFd Procs(std::string_view name);
  // SIGKILL to all in it. False where there is no such cgroup.
  bool Kill(std::string_view name) const;
  bool Holds(std::string_view name, pid_t pid) const;
  // Its cgroup.events, which has EPOLLPRI when IsPopulated may have changed since the last look.
  UniqueFd Events(std::string_view name) const;
  static bool IsPopulated(int events);

 private:
  std::string PathOf(std::string_view name) const { return parent_ + "/" + std::string(name); }
  void WarnOnce(const Error& error);

  std::string root_;
  std::string parent_;
  std::set<std::string> said_;  // the details of what was said once
};

// What cpu.max wants: "50000 100000" for half a processor.
std::string CpuMax(double cpus);

}  // namespace berth::init

#endif  // BERTH_INIT_SERVICE_CGROUP_H_
