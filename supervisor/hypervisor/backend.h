// SPDX-License-Identifier: Apache-2.0
//
// Backend: all that the lifecycle knows about a kind of hypervisor.
//
// A backend turns a spec into the command line a shim launches, and speaks the monitor of the
// hypervisor that came of it. It holds no state of any VM: it may be asked by a berthd that did not
// start the VM. The monitor calls are coroutines of the caller's executor; each opens the VM's
// monitor socket, asks, and closes it, since the monitor serves one client at a time.
#ifndef BERTH_SUPERVISOR_HYPERVISOR_BACKEND_H_
#define BERTH_SUPERVISOR_HYPERVISOR_BACKEND_H_

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "supervisor/hypervisor/image.h"
#include "supervisor/hypervisor/kvm_probe.h"
#include "supervisor/hypervisor/launch_spec.h"
#include "supervisor/hypervisor/vm_paths.h"
#include "supervisor/hypervisor/vm_spec.h"

namespace berth {

// What there is to know about this host, gathered once by whoever starts up (it takes up to
// kKvmProbeTimeout) and passed to every launch.
struct HostFacts {
  KvmProbe kvm;
  uint64_t tsc_khz = 0;  // 0: not an x86, or not measurable
};
HostFacts GatherHostFacts();

struct HypervisorInfo {
  std::string program;  // absolute path
  std::string version;  // "7.2.22"
};

struct LaunchInputs {
  const VmSpec& spec;     // valid
  const BootFiles& boot;  // from ResolveBootFiles
  const VmPaths& paths;
  const HostFacts& host;
  std::string hypervisor_program;  // absolute path, as FindProgram returned it
  std::string vsock_program;       // absolute path of berth-vsock
};

struct Launch {
  LaunchSpec spec;
  AccelChoice accel;  // what was chosen, and why: for status and events
};

enum class RunState { kRunning, kPaused, kShuttingDown, kOther };

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string_view name() const = 0;

  // What this backend cannot do of an otherwise valid spec.
  virtual SpecMistakes Validate(const VmSpec& spec) const = 0;

  // The absolute path of the hypervisor: `wanted` (a path or a name), or the backend's default name
  // where it is empty, looked up in PATH. Step "find-hypervisor".
  virtual Result<std::string> FindProgram(const std::string& wanted) const = 0;

  // Runs the program with --version. Blocks until `deadline`; for doctor, not for an event loop.
  virtual Result<HypervisorInfo> Describe(const std::string& program, Deadline deadline) const = 0;

  // Pure but for the choice of accelerator, which may fail (step "accel").
  virtual Result<Launch> BuildLaunch(const LaunchInputs& inputs) const = 0;

  // Ends the hypervisor at once, without the guest's doing, but flushing disks.
  virtual boost::asio::awaitable<Result<>> Quit(VmPaths paths, Deadline deadline) const = 0;
  // Presses the power button, where the machine has one (ACPI): the guest may ignore it.
  virtual boost::asio::awaitable<Result<>> PowerButton(VmPaths paths, Deadline deadline) const = 0;
  virtual boost::asio::awaitable<Result<>> Pause(VmPaths paths, Deadline deadline) const = 0;
  virtual boost::asio::awaitable<Result<>> Resume(VmPaths paths, Deadline deadline) const = 0;
  virtual boost::asio::awaitable<Result<RunState>> QueryRunState(VmPaths paths,
                                                                 Deadline deadline) const = 0;
};

// The backend for a spec; lives as long as the program. QEMU is the only one so far.
const Backend& BackendFor(const VmSpec& spec);

}  // namespace berth

#endif  // BERTH_SUPERVISOR_HYPERVISOR_BACKEND_H_
