// SPDX-License-Identifier: Apache-2.0
//
// LaunchSpec: what berthd tells a shim to launch. It is written to launch.json by berthd, read once
// by the shim. A value; any thread.
//
// An argument may hold a placeholder for a descriptor that the shim makes and the program inherits;
// the shim puts the number in its place:
//
//   {vhost-fd}     listening socket bound to vhost.sock        (hypervisor)
//   {qmp-fd}       listening socket bound to qmp.sock          (hypervisor)
//   {shim-qmp-fd}  connected socket: the shim's own monitor    (hypervisor)
//   {notify-fd}    pipe on which "ready\n" is awaited          (vsock device)
//   {pairs-fd}     memfd, the same for each device of this VM  (vsock device)
#ifndef BERTH_SUPERVISOR_HYPERVISOR_LAUNCH_SPEC_H_
#define BERTH_SUPERVISOR_HYPERVISOR_LAUNCH_SPEC_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"
#include "supervisor/hypervisor/vm_paths.h"

namespace berth {

inline constexpr size_t kMaxLaunchJsonBytes = 256 * 1024;
inline constexpr size_t kMaxLaunchArgs = 512;

inline constexpr std::string_view kVhostFd = "{vhost-fd}";
inline constexpr std::string_view kQmpFd = "{qmp-fd}";
inline constexpr std::string_view kShimQmpFd = "{shim-qmp-fd}";
inline constexpr std::string_view kNotifyFd = "{notify-fd}";
inline constexpr std::string_view kPairsFd = "{pairs-fd}";

// The id of the hypervisor's character device that {vhost-fd} serves: the shim asks the monitor
// about it.
inline constexpr std::string_view kVsockChardev = "vsock";

struct LaunchSpec {
  std::string vm;
  uint32_t cid = 0;
  std::vector<std::string> hypervisor;  // argv; [0] is an absolute path
  std::vector<std::string> vsock;       // argv of the vsock device; empty: the hypervisor has one
  VmPaths paths;
  std::chrono::milliseconds launch_timeout{15'000};

  bool NeedsVsockDevice() const { return !vsock.empty(); }
  bool HasQmp() const;  // whether an argument holds {shim-qmp-fd}

  friend bool operator==(const LaunchSpec&, const LaunchSpec&) = default;
};

std::string ToJsonText(const LaunchSpec& spec);
// Steps "launch-spec"; checks types, counts and that the paths fit a socket address.
Result<LaunchSpec> ParseLaunchSpec(std::string_view text);

// The arguments that start berth-vsock for a VM.
std::vector<std::string> VsockDeviceArgs(const std::string& program, const VmPaths& paths,
                                         uint32_t cid);

}  // namespace berth

#endif  // BERTH_SUPERVISOR_HYPERVISOR_LAUNCH_SPEC_H_
