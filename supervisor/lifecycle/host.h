// SPDX-License-Identifier: Apache-2.0
//
// Host: what the lifecycle needs of the machine it runs on. berthd's makes directories and spawns
// shims; tests script one. All on the executor's thread.
#ifndef BERTH_SUPERVISOR_LIFECYCLE_HOST_H_
#define BERTH_SUPERVISOR_LIFECYCLE_HOST_H_

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>

#include "supervisor/hypervisor/vm_spec.h"
#include "supervisor/lifecycle/instance.h"

namespace berth::lifecycle {

class Host {
 public:
  virtual ~Host() = default;

  // What is wrong with a spec on this host: refused before the VM exists, so it leaves nothing.
  virtual Outcome<> Check(const VmSpec& spec) = 0;

  // Makes the VM's directory and checks its image and the disk space. Idempotent.
  virtual boost::asio::awaitable<Outcome<>> Provision(VmSpec spec) = 0;

  // Removes the VM's directory. Idempotent.
  virtual Outcome<> Deprovision(const std::string& name) = 0;

  // Starts the processes of a VM. `changed` is called at every change of the instance's View, as
  // long as the instance lives. On failure nothing of it is left.
  virtual boost::asio::awaitable<Outcome<std::shared_ptr<Instance>>> Launch(
      VmSpec spec, std::function<void()> changed, Deadline deadline) = 0;
};

}  // namespace berth::lifecycle

#endif  // BERTH_SUPERVISOR_LIFECYCLE_HOST_H_
