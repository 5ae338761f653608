// SPDX-License-Identifier: Apache-2.0
//
// ShimInstance: one boot of a VM as berthd runs it: a shim with its hypervisor and vsock device,
// the listener for the guest's Ready, and a standing connection to the agent by which its death is
// seen.
//
// Each of its coroutines follows one of those and writes down in the View what it learns; they hold
// the instance alive and end when it is torn down. One thread.
#ifndef BERTH_SUPERVISOR_DAEMON_SHIM_INSTANCE_H_
#define BERTH_SUPERVISOR_DAEMON_SHIM_INSTANCE_H_

#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>

#include "protocol/base/log.h"
#include "protocol/base/spawn.h"
#include "protocol/wire/channel.h"
#include "supervisor/daemon/log_follower.h"
#include "supervisor/guest/ready_listener.h"
#include "supervisor/hypervisor/backend.h"
#include "supervisor/lifecycle/instance.h"
#include "supervisor/lifecycle/notifier.h"
#include "supervisor/shim/client.h"

namespace berth::daemon {

class ShimInstance : public lifecycle::Instance, public std::enable_shared_from_this<ShimInstance> {
 public:
  struct Parts {
    const Backend& backend;
    VmPaths paths;
    std::string accelerator;
    Spawned shim;
    std::unique_ptr<guest::ReadyListener> ready;
    std::string guest_config;         // for the guest's PID 1; empty: none
    std::vector<HealthCheck> health;  // for the guest's agent
    VmLogsPtr logs;
  };
  ShimInstance(boost::asio::any_io_executor executor, Parts parts, std::function<void()> changed);
  ShimInstance(const ShimInstance&) = delete;
  ShimInstance& operator=(const ShimInstance&) = delete;

  // Spawns the coroutines.
  void Start();

  const struct View& view() const override { return view_; }
  const std::string& Accelerator() const override { return accelerator_; }
  boost::asio::awaitable<Result<>> AskGuestToPowerOff(std::chrono::milliseconds grace,
                                                      Deadline deadline) override;
  boost::asio::awaitable<Result<>> AskHypervisorToQuit(Deadline deadline) override;
  boost::asio::awaitable<Result<>> SetPaused(bool paused, Deadline deadline) override;
  boost::asio::awaitable<Result<>> TearDown(Deadline deadline) override;
  lifecycle::Evidence CollectEvidence() const override;
  boost::asio::awaitable<lifecycle::Outcome<UniqueFd>> OpenStream(v1::Envelope request,
                                                                  Deadline deadline) override;
  boost::asio::awaitable<lifecycle::Outcome<v1::Envelope>> Call(v1::Envelope request,
                                                                uint32_t since,
                                                                v1::Envelope::BodyCase answer,
                                                                Deadline deadline) override;
  boost::asio::awaitable<lifecycle::Outcome<lifecycle::ClockReport>> LookAtClock(
      lifecycle::ClockAction action, Deadline deadline) override;

  // The host's clock was set, or the host slept: the guest's is to be looked at.
  void HostClockChanged() { MakeDue(kReseed | kClock); }

 private:
  using Self = std::shared_ptr<ShimInstance>;
  static boost::asio::awaitable<void> FollowShim(Self self);
  static boost::asio::awaitable<void> ReapShim(Self self);
  static boost::asio::awaitable<void> FollowReady(Self self);
  static boost::asio::awaitable<void> FollowAgent(Self self);
  // Asks and tells a guest of generation 3 what is due (shim_instance_tend.cc).
  static boost::asio::awaitable<void> TendGuest(Self self);

  // What there is to do for a guest that can be spoken to; bits of due_.
  enum Due : uint32_t { kConfigureHealth = 1, kFetchHealth = 2, kReseed = 4, kClock = 8 };
  void MakeDue(uint32_t what);
  // What of `due` could not be done, and why.
  boost::asio::awaitable<uint32_t> Tend(uint32_t due);
  boost::asio::awaitable<Result<>> TendOne(Due what);
  boost::asio::awaitable<Result<>> FetchHealth(Deadline deadline);
  boost::asio::awaitable<Result<lifecycle::ClockReport>> SetClock(lifecycle::ClockAction action,
                                                                  Deadline deadline);

  void Take(const shim::Event& event);
  void TakeReady(const guest::ReadyReport& report);
  // The shim has closed or was never reached: its record says how it ended, or nothing does.
  void TakeEnd();
  // The agent, by what it speaks, until its connection breaks. Returns why it broke.
  boost::asio::awaitable<Error> HoldAgent();
  using Hold = boost::asio::awaitable<Error> (ShimInstance::*)(wire::Channel& channel);
  boost::asio::awaitable<Error> HoldConnection(Hold hold);
  // An agent of generation 1: it answers pings.
  boost::asio::awaitable<Error> KeepPinging(wire::Channel& channel);
  // A later one: it tells its events too.
  boost::asio::awaitable<Error> FollowGuest(wire::Channel& channel);
  boost::asio::awaitable<Result<>> OpenFollow(wire::Channel& channel);
  boost::asio::awaitable<Result<>> TakeGuestEvent(wire::Channel& channel,
                                                  const v1::GuestEvent& event);
  void TakeOomKill(uint64_t seq, const v1::OomKill& kill);
  boost::asio::awaitable<Result<>> PingAgent(wire::Channel& channel, bool first);
  void FollowLogs();
  void SetAgent(lifecycle::AgentState state, std::string why);
  // `fault`, of a call to the agent, which says so where the agent is lost anyway.
  lifecycle::Fault WithAgent(lifecycle::Fault fault) const;
  void Changed();

  boost::asio::any_io_executor executor_;
  const Backend& backend_;
  const VmPaths paths_;
  const std::string accelerator_;
  std::function<void()> changed_;
  struct View view_;
  lifecycle::Notifier woken_;  // for its own coroutines: the View, down_ or shim_reaped_ changed
  pid_t shim_pid_;
  boost::asio::posix::stream_descriptor shim_pidfd_;
  UniqueFd hypervisor_pidfd_;
  UniqueFd vsock_pidfd_;
  std::unique_ptr<shim::Client> client_;
  std::unique_ptr<guest::ReadyListener> ready_;
  const std::string guest_config_;
  const std::vector<HealthCheck> health_checks_;
  uint32_t due_ = 0;
  std::chrono::nanoseconds clock_interval_ = lifecycle::kSlowestClockLook;
  const VmLogsPtr logs_;
  std::shared_ptr<LogFollower> log_follower_;
  LogLimiter guest_events_;               // how many a guest may tell
  LogLimiter health_bells_;               // how often it may ring for its health
  std::shared_ptr<wire::Channel> agent_;  // the standing connection, while there is one
  uint32_t agent_generation_ = 0;         // as its Hello there said
  std::string followed_;                  // the start of the agent whose events those are
  uint64_t last_oom_seq_ = 0;             // of it: an event may come twice
  bool down_ = false;                     // being torn down: no coroutine starts anything new
  bool shim_reaped_ = false;
};

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_SHIM_INSTANCE_H_
