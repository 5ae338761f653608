// SPDX-License-Identifier: Apache-2.0
//
// ShimRig: a real berth-shim over scripts that stand for the hypervisor and the vsock device. For
// tests only. Everything it starts it ends.
#ifndef BERTH_SUPERVISOR_SHIM_SHIM_RIG_H_
#define BERTH_SUPERVISOR_SHIM_SHIM_RIG_H_

#include <sys/resource.h>

#include <optional>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/base/spawn.h"
#include "supervisor/hypervisor/launch_spec.h"
#include "supervisor/hypervisor/line_buffer.h"
#include "supervisor/hypervisor/temp_dir.h"
#include "supervisor/shim/control_protocol.h"

namespace berth::shim {

// A connection to shim.sock that waits for events.
class RigClient {
 public:
  explicit RigClient(const std::string& path);

  void Send(std::string_view text);
  // The next event; a failure of the test where none comes in time. kEnd: the shim closed.
  Result<Event> Next();
  template <typename T>
  T Expect() {
    auto event = Next();
    if (event && std::holds_alternative<T>(*event)) return std::get<T>(std::move(*event));
    ADD_FAILURE() << "another event: " << (event ? Encode(*event) : event.error().Message());
    return T{};
  }
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
  LineBuffer lines_{kMaxEventBytes};
};

class ShimRig {
 public:
  ShimRig();
  ~ShimRig();

  // Shell code that the fake hypervisor runs once it has negotiated its monitor, with functions
  // event NAME DATA, serve (answer commands until the monitor ends) and wait_go GATE; its default
  // is "serve".
  void Hypervisor(const std::string& code);
  // Shell code of the fake vsock device, with functions ready, hang and wait_go GATE; its default
  // is "ready; hang".
  void Device(const std::string& code);

  void Start();
  // Lets the script that stands at "wait_go GATE" go on; waits until one stands there. Each gate (1
  // to 3) is passed once.
  void Go(int gate = 1) const;
  RigClient Connect() const { return RigClient(launch.paths.ShimSocket()); }
  // How the shim ended, and what it used.
  struct End {
    int wait_status = -1;
    rusage usage{};
  };
  End WaitForShim();
  pid_t shim_pid() const { return shim_->pid; }

  std::string FileText(const std::string& path) const;
  std::string Commands() const { return FileText(dir.path() + "/commands"); }

  TempDir dir;
  LaunchSpec launch;

 private:
  std::optional<Spawned> shim_;
};

// Waits for the end of a process that is no child of ours. Open before it may end.
UniqueFd OpenPidfd(pid_t pid);
bool EndsInTime(int pidfd);

}  // namespace berth::shim

#endif  // BERTH_SUPERVISOR_SHIM_SHIM_RIG_H_
