// SPDX-License-Identifier: Apache-2.0
//
// VmPaths: the names of what stands in a VM's directory. All follow from the directory, so that
// berthd, the shim and a later berthd cannot disagree. A value; any thread.
#ifndef BERTH_SUPERVISOR_HYPERVISOR_VM_PATHS_H_
#define BERTH_SUPERVISOR_HYPERVISOR_VM_PATHS_H_

#include <cstddef>
#include <string>

namespace berth {

// sun_path holds 108 bytes with its null. The longest socket name of a VM is
// "/vsock.sock_4294967295".
inline constexpr size_t kMaxSocketPathBytes = 107;
inline constexpr size_t kMaxVmDirBytes = kMaxSocketPathBytes - sizeof("/vsock.sock_4294967295") + 1;

struct VmPaths {
  std::string dir;  // absolute, no trailing slash

  std::string Spec() const { return dir + "/spec.json"; }
  std::string Launch() const { return dir + "/launch.json"; }
  std::string Exit() const { return dir + "/exit.json"; }
  std::string ShimSocket() const { return dir + "/shim.sock"; }
  std::string QmpSocket() const { return dir + "/qmp.sock"; }
  std::string VhostSocket() const { return dir + "/vhost.sock"; }
  std::string VsockSocket() const { return dir + "/vsock.sock"; }
  std::string ReadySocket() const { return dir + "/vsock.sock_1022"; }
  std::string ConsoleLog() const { return dir + "/console.log"; }
  std::string HypervisorLog() const { return dir + "/hypervisor.log"; }
  std::string VsockLog() const { return dir + "/vsock.log"; }
  std::string ShimLog() const { return dir + "/shim.log"; }
  std::string LogStore() const { return dir + "/logs"; }

  friend bool operator==(const VmPaths&, const VmPaths&) = default;
};

}  // namespace berth

#endif  // BERTH_SUPERVISOR_HYPERVISOR_VM_PATHS_H_
