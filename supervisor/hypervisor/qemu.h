// SPDX-License-Identifier: Apache-2.0
//
// The QEMU backend: machines microvm and q35, accelerators TCG and KVM. Command lines are explained
// in docs/hypervisors.md. Stateless; any thread for the calls that are not coroutines.
#ifndef BERTH_SUPERVISOR_HYPERVISOR_QEMU_H_
#define BERTH_SUPERVISOR_HYPERVISOR_QEMU_H_

#include <string>
#include <vector>

#include "supervisor/hypervisor/backend.h"

namespace berth {

// A microvm has eight virtio-mmio slots; vsock and rng take two.
inline constexpr size_t kMaxMicrovmDisks = 6;

class QemuBackend final : public Backend {
 public:
  std::string_view name() const override { return "qemu"; }
  SpecMistakes Validate(const VmSpec& spec) const override;
  Result<std::string> FindProgram(const std::string& wanted) const override;
  Result<HypervisorInfo> Describe(const std::string& program, Deadline deadline) const override;
  Result<Launch> BuildLaunch(const LaunchInputs& inputs) const override;

  boost::asio::awaitable<Result<>> Quit(VmPaths paths, Deadline deadline) const override;
  boost::asio::awaitable<Result<>> PowerButton(VmPaths paths, Deadline deadline) const override;
  boost::asio::awaitable<Result<>> Pause(VmPaths paths, Deadline deadline) const override;
  boost::asio::awaitable<Result<>> Resume(VmPaths paths, Deadline deadline) const override;
  boost::asio::awaitable<Result<RunState>> QueryRunState(VmPaths paths,
                                                         Deadline deadline) const override;
};

// --- Pure parts, for tests ---

// The image's and spec's command line, with what this machine needs put in front of it: later words
// win in Linux, so an owner can override each of them. Step "cmdline" where it grows too long.
Result<std::string> QemuCmdline(const VmSpec& spec, const std::string& cmdline, Accel accel,
                                uint64_t tsc_khz);

// The whole argument list. `accel` is not kAuto.
std::vector<std::string> QemuArgs(const LaunchInputs& inputs, Accel accel,
                                  const std::string& cmdline);

// "QEMU emulator version 7.2.22 (Debian ...)" → "7.2.22"; empty where that is not QEMU's output.
std::string ParseQemuVersion(std::string_view output);

}  // namespace berth

#endif  // BERTH_SUPERVISOR_HYPERVISOR_QEMU_H_
