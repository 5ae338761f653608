// SPDX-License-Identifier: Apache-2.0
//
// Shim: one VM's processes, from launch to exit record. It owns them, their pipes and logs, the
// monitor and the control socket. One thread, one epoll, no allocation that a peer can drive: it
// must outlive everything that can go wrong around it.
//
//   kLaunching ─hypervisor's monitor negotiated, vsock device ready→ kRunning ─hypervisor ends→
//   kEnding
//
// In kEnding the vsock device gets a moment to hand over what the guest sent last; then the exit
// record is written, and only then clients are told.
#ifndef BERTH_SUPERVISOR_SHIM_SHIM_H_
#define BERTH_SUPERVISOR_SHIM_SHIM_H_

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/log.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"
#include "supervisor/hypervisor/launch_spec.h"
#include "supervisor/shim/bounded_log.h"
#include "supervisor/shim/child.h"
#include "supervisor/shim/control_server.h"
#include "supervisor/shim/drain.h"
#include "supervisor/shim/exit_reason.h"
#include "supervisor/shim/monitor.h"
#include "supervisor/shim/poller.h"
#include "supervisor/shim/recovery.h"

namespace berth::shim {

inline constexpr size_t kConsoleLogBytes = 1024 * 1024;  // twice: the file and the one before
inline constexpr size_t kProgramLogBytes =
    128 * 1024;  // each of hypervisor.log and vsock.log, twice
// For the vsock device, once its hypervisor is gone, to hand over what it holds.
inline constexpr std::chrono::milliseconds kVsockDrainTimeout{1'000};
// For the hypervisor to end, once the vsock device has ended as if it had.
inline constexpr std::chrono::milliseconds kHypervisorEndGrace{2'000};
// For clients to take the last event.
inline constexpr std::chrono::milliseconds kFarewellTimeout{2'000};

class Shim final : Monitor::Listener, ControlServer::Listener, Recovery::Actions {
 public:
  // `signals` is a signalfd of those that mean: end the VM.
  Shim(LaunchSpec launch, Poller poller, UniqueFd listener, UniqueFd signals);

  // Launches, and returns when the VM has ended and everybody knows. False where the exit record
  // could not be written.
  bool Run();

 private:
  // --- Launch (shim_launch.cc) ---
  Result<> Launch();
  Result<> LaunchHypervisor();
  void MaybeStarted();
  std::string LaunchProgress() const;

  // --- The loop ---
  void Dispatch(Poller::Ready ready);
  void CheckDeadlines();
  std::optional<Deadline> NextDeadline() const;
  void OnVsockNotify();
  void OnVsockEnd();
  void OnHypervisorEnd();
  void Stop(std::unique_ptr<Drain>& drain);
  void CloseMonitor();
  bool HypervisorHasEnded() const;
  void Kill(const char* why);

  // --- End (shim_end.cc) ---
  void FailLaunch(const Error& error);
  void Finish();
  void EndVsockDevice();
  void ReadLastMonitorLines();

  // Monitor::Listener
  void OnMonitorReady() override { MaybeStarted(); }
  void OnMonitorEvent(const qmp::Event& event) override;
  void OnMonitorReply(uint64_t id, const qmp::Reply& reply) override;
  // ControlServer::Listener
  std::string OnClient() override;
  std::string OnRequest(Op op) override;
  // Recovery::Actions
  uint64_t SendCommand(std::string_view command) override;
  Result<> StartDevice() override;
  void KillDevice() override;
  void OnRecovered() override;
  void OnLost(std::string why) override;

  Status CurrentStatus() const;

  const LaunchSpec launch_;
  Poller poller_;
  const UniqueFd signals_;
  ControlServer control_;
  BoundedLog console_log_;
  BoundedLog hypervisor_log_;
  BoundedLog vsock_log_;
  Recovery recovery_;
  LogLimiter event_log_limit_{10, std::chrono::seconds(10)};

  // Drains go before the logs they write to, which stand above.
  std::unique_ptr<Drain> console_;
  std::unique_ptr<Drain> hypervisor_stderr_;
  std::unique_ptr<Drain> vsock_stderr_;
  std::unique_ptr<Monitor> monitor_;
  UniqueFd console_input_;  // held open: a hypervisor whose stdin ends may act on it
  UniqueFd vsock_notify_;
  UniqueFd vsock_pairs_;  // the device's own memory, for the one that takes over from it
  std::optional<Child> hypervisor_;
  std::optional<Child> vsock_;

  Phase phase_ = Phase::kLaunching;
  bool vsock_ready_ = false;
  bool done_ = false;
  bool recorded_ = false;
  bool kill_requested_ = false;
  std::optional<Deadline> launch_deadline_;
  std::optional<Deadline> end_grace_;    // the vsock device ended first
  std::optional<Deadline> vsock_drain_;  // the hypervisor ended first
  std::optional<Started> started_;
  std::optional<VsockLost> vsock_lost_;
  uint32_t vsock_restarts_ = 0;
  ExitClues clues_;
  ExitRecord record_;
};

}  // namespace berth::shim

#endif  // BERTH_SUPERVISOR_SHIM_SHIM_H_
