// SPDX-License-Identifier: Apache-2.0
//
// RealHost: the lifecycle's Host on this machine: directories below the state directory, images on
// disk, shims as processes. Owns a thread for what would block the event loop (hashing an image,
// probing KVM); all else runs on the executor's.
#ifndef BERTH_SUPERVISOR_DAEMON_REAL_HOST_H_
#define BERTH_SUPERVISOR_DAEMON_REAL_HOST_H_

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>
#include <map>
#include <optional>
#include <string>

#include "supervisor/daemon/doctor.h"
#include "supervisor/daemon/log_archive.h"
#include "supervisor/daemon/state_dir.h"
#include "supervisor/hypervisor/backend.h"
#include "supervisor/lifecycle/host.h"
#include "supervisor/lifecycle/notifier.h"

namespace berth::daemon {

class ShimInstance;

// What a VM's logs may come to, with room for its records.
inline constexpr uint64_t kVmDiskBytes = 16ULL * 1024 * 1024;

class RealHost : public lifecycle::Host {
 public:
  RealHost(boost::asio::any_io_executor executor, const StateDir& state_dir, LogArchive& logs,
           std::string libexec_dir);

  lifecycle::Outcome<> Check(const VmSpec& spec) override;
  boost::asio::awaitable<lifecycle::Outcome<>> Provision(VmSpec spec) override;
  lifecycle::Outcome<> Deprovision(const std::string& name) override;
  boost::asio::awaitable<lifecycle::Outcome<std::shared_ptr<lifecycle::Instance>>> Launch(
      VmSpec spec, std::function<void()> changed, Deadline deadline) override;

  // Its clock was set, or it has slept: the guests' are to be looked at.
  void ClockChanged();

  boost::asio::awaitable<std::vector<daemon::Check>> Doctor(std::string socket);

 private:
  // What this host can do; found out once, when it is first needed.
  boost::asio::awaitable<HostFacts> Facts(Accel asked);
  // Hashes an image's files unless they are the ones hashed last.
  boost::asio::awaitable<Result<>> Verify(Image image);

  boost::asio::any_io_executor executor_;
  const StateDir& state_dir_;
  LogArchive& logs_;
  const std::string libexec_dir_;
  std::vector<std::weak_ptr<ShimInstance>> instances_;
  std::optional<HostFacts> facts_;
  uint64_t tsc_khz_ = 0;
  std::map<std::string, std::string> verified_;  // image directory → identity of what was hashed
  boost::asio::thread_pool pool_{1};             // last: joined before the rest goes
};

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_REAL_HOST_H_
