// SPDX-License-Identifier: Apache-2.0
//
// StateDir: the directory in which a daemon keeps its VMs, and the lock that makes it one daemon's.
// Owned by main for the daemon's life; calls block for file operations, and for the end of
// leftovers.
#ifndef BERTH_SUPERVISOR_DAEMON_STATE_DIR_H_
#define BERTH_SUPERVISOR_DAEMON_STATE_DIR_H_

#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"
#include "supervisor/hypervisor/vm_paths.h"

namespace berth::daemon {

class StateDir {
 public:
  // Makes `path` and its vms/ (0700) where they are missing, and takes the lock. Step "state-dir";
  // EWOULDBLOCK: another berthd has it. The lock ends with the process, however that ends.
  static Result<StateDir> Open(const std::string& path);

  const std::string& path() const { return path_; }
  VmPaths PathsOf(const std::string& vm) const { return VmPaths{path_ + "/vms/" + vm}; }

  // Makes a VM's directory, 0700. Step "vm-dir".
  Result<> MakeVmDir(const std::string& vm) const;
  // Removes it with all it holds. No error where it is not there.
  Result<> RemoveVmDir(const std::string& vm) const;

  // ENOSPC where fewer than `bytes` are free for us. Step "disk-space".
  Result<> CheckSpace(uint64_t bytes) const;

  // VMs whose directories an earlier daemon left behind.
  std::vector<std::string> Leftovers() const;
  // Ends what may still run of a VM, through its shim, and removes its directory. This daemon does
  // not adopt VMs: it knows nothing of what they were to be. Returns what was done, for the log.
  Result<std::string> CleanUp(const std::string& vm, Deadline deadline) const;

 private:
  StateDir(std::string path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  UniqueFd lock_;
};

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_STATE_DIR_H_
