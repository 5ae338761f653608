// SPDX-License-Identifier: Apache-2.0
//
// Fleet: all VMs of a daemon, and what can be asked of them. Each VM that has processes is driven
// by one coroutine (drive.cc), from the acceptance of the start until nothing is left; the calls
// here put their requests to it and wait for what comes of them. A caller that goes away changes
// nothing. One thread. The Fleet outlives its executor's work: Shutdown, run the executor dry, then
// destroy.
#ifndef BERTH_SUPERVISOR_LIFECYCLE_FLEET_H_
#define BERTH_SUPERVISOR_LIFECYCLE_FLEET_H_

#include <map>
#include <memory>

#include "supervisor/lifecycle/host.h"
#include "supervisor/lifecycle/vm.h"

namespace berth::lifecycle {

inline constexpr size_t kMaxVms = 1024;
// A boot that hangs is tried once more: under emulation one in twenty of some kernels does.
inline constexpr int kBootAttempts = 2;
// For the processes of a VM to go once they were sent SIGKILL.
inline constexpr auto kTeardownTimeout = std::chrono::seconds(10);
// For one question to agent or hypervisor to be delivered.
inline constexpr auto kAskTimeout = std::chrono::seconds(5);

class Fleet {
 public:
  Fleet(Host& host, Store& store, boost::asio::any_io_executor executor);

  Outcome<VmPtr> Find(const std::string& name) const;
  const std::map<std::string, VmPtr>& vms() const { return vms_; }
  Journal& journal() { return journal_; }

  // The VM is Pending then. A spec that is refused leaves no VM.
  Outcome<VmPtr> Create(VmSpec spec, std::string why);

  // Comes back when the VM is Running, or why it is not.
  boost::asio::awaitable<Outcome<>> Start(std::string name, std::string why);

  // Comes back when no process of the VM is left. `grace`: how long its guest may take; nothing:
  // as the spec says. A VM that is already on its way down is waited for; Kill hurries it.
  boost::asio::awaitable<Outcome<>> Stop(std::string name,
                                         std::optional<std::chrono::milliseconds> grace,
                                         std::string why);
  boost::asio::awaitable<Outcome<>> Kill(std::string name, std::string why);

  // Holds a Running VM's processors still, and lets them go on. A condition of Running, no state.
  boost::asio::awaitable<Outcome<>> Pause(std::string name, std::string why);
  boost::asio::awaitable<Outcome<>> Resume(std::string name, std::string why);

  // Forgets the VM and removes its directory. `force`: kills it first.
  boost::asio::awaitable<Outcome<>> Remove(std::string name, bool force, std::string why);

  // Waits until the VM's state is one of `states`.
  boost::asio::awaitable<Outcome<State>> WaitFor(std::string name, std::vector<State> states,
                                                 Deadline deadline);

  // No start from now on; stops all VMs (at most `grace` for their guests), kills what is left.
  boost::asio::awaitable<void> Shutdown(std::chrono::milliseconds grace);

 private:
  boost::asio::awaitable<Outcome<>> Provision(VmPtr vm, std::string why);
  boost::asio::awaitable<Outcome<>> End(VmPtr vm, StopRequest request);
  boost::asio::awaitable<Outcome<>> SetPaused(std::string name, bool paused, std::string why);

  Host& host_;
  boost::asio::any_io_executor executor_;
  Journal journal_;
  std::map<std::string, VmPtr> vms_;
  bool shutting_down_ = false;
};

// Drives `vm`, which is Configured, until no process of it is left (drive.cc). Sets start_result.
boost::asio::awaitable<void> Drive(Host& host, VmPtr vm, std::string why);

// Takes a Stopping VM down in steps, each with its deadline: guest, hypervisor, SIGKILL (stop.cc).
boost::asio::awaitable<void> RunStop(VmPtr vm);

}  // namespace berth::lifecycle

#endif  // BERTH_SUPERVISOR_LIFECYCLE_FLEET_H_
