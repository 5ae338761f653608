// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shim/shim.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace berth::shim {

Shim::Shim(LaunchSpec launch, Poller poller, UniqueFd listener, UniqueFd signals)
    : launch_(std::move(launch)),
      poller_(std::move(poller)),
      signals_(std::move(signals)),
      control_(std::move(listener), poller_, *this),
      console_log_(launch_.paths.ConsoleLog(), kConsoleLogBytes),
      hypervisor_log_(launch_.paths.HypervisorLog(), kProgramLogBytes),
      vsock_log_(launch_.paths.VsockLog(), kProgramLogBytes),
      recovery_(*this) {}

bool Shim::Run() {
  if (auto launched = Launch(); !launched) FailLaunch(launched.error());
  while (!done_) {
    for (const Poller::Ready& ready : poller_.Wait(NextDeadline())) {
      if (!done_) Dispatch(ready);
    }
    if (!done_) CheckDeadlines();
  }
  return recorded_;
}

void Shim::Dispatch(Poller::Ready ready) {
  switch (ready.token) {
    case Token::kSignal: {
      signalfd_siginfo info;
      if (read(signals_.get(), &info, sizeof(info)) == sizeof(info)) Kill("a signal to the shim");
      return;
    }
    case Token::kConsole:
      if (console_ && !console_->OnReady()) Stop(console_);
      return;
    case Token::kHypervisorStderr:
      // The drain stays for its tail; only the end of the stream is not asked for again.
      if (hypervisor_stderr_ && !hypervisor_stderr_->OnReady()) {
        poller_.Forget(hypervisor_stderr_->fd());
      }
      return;
    case Token::kVsockStderr:
      if (vsock_stderr_ && !vsock_stderr_->OnReady()) poller_.Forget(vsock_stderr_->fd());
      return;
    case Token::kVsockNotify:
      return OnVsockNotify();
    case Token::kHypervisor:
      return OnHypervisorEnd();
    case Token::kVsock:
      return OnVsockEnd();
    case Token::kMonitor:
      if (monitor_ && !monitor_->OnReadable()) CloseMonitor();
      return;
    case Token::kListener:
    case Token::kFirstClient:
      break;
  }
  control_.OnReady(ready);
}

std::optional<Deadline> Shim::NextDeadline() const {
  std::optional<Deadline> next;
  for (const auto& each : {launch_deadline_, end_grace_, vsock_drain_, recovery_.deadline()}) {
    if (each && (!next || each->at() < next->at())) next = each;
  }
  return next;
}

void Shim::CheckDeadlines() {
  const auto passed = [](const std::optional<Deadline>& each) { return each && each->Passed(); };
  if (passed(launch_deadline_)) {
    launch_deadline_.reset();
    return FailLaunch(Error{"launch-deadline", ETIMEDOUT, LaunchProgress(),
                            "see hypervisor.log and vsock.log in the VM's directory"});
  }
  if (passed(vsock_drain_)) {
    vsock_drain_.reset();
    return Finish();
  }
  if (passed(end_grace_)) {
    end_grace_.reset();
    if (phase_ == Phase::kLaunching) {
      return FailLaunch(Error{"vsock-device", 0,
                              "the vsock device ended with exit code 0 while it was needed",
                              "see vsock.log in the VM's directory"});
    }
    recovery_.OnDeviceDied(Deadline::Clock::now());
  }
  if (passed(recovery_.deadline())) recovery_.OnDeadline();
}

void Shim::Stop(std::unique_ptr<Drain>& drain) {
  if (!drain) return;
  poller_.Forget(drain->fd());
  drain.reset();
}

void Shim::CloseMonitor() {
  if (!monitor_ || monitor_->fd() < 0) return;
  poller_.Forget(monitor_->fd());
  monitor_->Close();
}

bool Shim::HypervisorHasEnded() const {
  if (!hypervisor_) return true;
  pollfd watched{.fd = hypervisor_->pidfd(), .events = POLLIN, .revents = 0};
  return poll(&watched, 1, 0) > 0;
}

void Shim::Kill(const char* why) {
  Log(LogLevel::kInfo, "berth-shim", std::string("killing the hypervisor: ") + why);
  kill_requested_ = true;
  if (hypervisor_) hypervisor_->Signal(SIGKILL);
}

void Shim::OnVsockNotify() {
  std::array<char, 64> text;
  const ssize_t n = read(vsock_notify_.get(), text.data(), text.size());
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  poller_.Forget(vsock_notify_.get());
  vsock_notify_.Reset();
  // The end of the stream: the device is about to end, and its pidfd tells.
  if (n <= 0 || std::string_view(text.data(), static_cast<size_t>(n)) != "ready\n") return;
  vsock_ready_ = true;
  MaybeStarted();
  recovery_.OnDeviceReady();
}

void Shim::OnVsockEnd() {
  if (!vsock_) return;
  const auto end = vsock_->Reap();
  if (!end) return;
  poller_.Forget(vsock_->pidfd());
  vsock_.reset();
  if (vsock_stderr_) vsock_stderr_->Finish();
  const std::string how = DescribeEnd(end->wait_status);
  const std::string said = vsock_stderr_ ? vsock_stderr_->tail() : "";
  if (phase_ == Phase::kEnding) return Finish();
  if (HypervisorHasEnded()) return;  // its own token follows
  if (phase_ == Phase::kLaunching) {
    // Where the hypervisor refuses its arguments, the device loses its peer: the hypervisor's exit
    // is the cause worth telling, and about to come.
    if (end->wait_status == 0) {
      end_grace_ = Deadline::In(kHypervisorEndGrace);
      return;
    }
    return FailLaunch(Error{
        "vsock-device", 0, "the vsock device ended with " + how + (said.empty() ? "" : ": " + said),
        "see vsock.log in the VM's directory"});
  }
  if (event_log_limit_.Allow()) {
    Log(LogLevel::kWarning, "berth-shim", "the vsock device ended with " + how);
  }
  if (end->wait_status == 0 && recovery_.state() == Recovery::State::kUp) {
    end_grace_ = Deadline::In(kHypervisorEndGrace);
    return;
  }
  recovery_.OnDeviceDied(Deadline::Clock::now());
}

void Shim::OnMonitorEvent(const qmp::Event& event) {
  clues_.Note(event);
  recovery_.OnEvent(event);
}

void Shim::OnMonitorReply(uint64_t id, const qmp::Reply& reply) {
  if (hypervisor_) recovery_.OnReply(id, reply);
}

uint64_t Shim::SendCommand(std::string_view command) {
  return monitor_ ? monitor_->Send(command) : 0;
}

void Shim::KillDevice() {
  if (vsock_) vsock_->Signal(SIGKILL);
}

void Shim::OnRecovered() {
  ++vsock_restarts_;
  control_.Broadcast(VsockRestarted{vsock_ ? vsock_->pid() : 0, vsock_restarts_});
}

void Shim::OnLost(std::string why) {
  Log(LogLevel::kError, "berth-shim", "the vsock device is not restarted any more: " + why);
  EndVsockDevice();
  if (started_) started_->vsock_pid = 0;
  vsock_lost_ = VsockLost{vsock_restarts_, std::move(why)};
  control_.Broadcast(*vsock_lost_);
}

std::string Shim::OnClient() {
  std::string lines;
  if (phase_ == Phase::kRunning) lines += Encode(*started_);
  if (vsock_lost_) lines += Encode(*vsock_lost_);
  return lines;
}

std::string Shim::OnRequest(Op op) {
  if (op == Op::kStatus) return Encode(CurrentStatus());
  Kill("a client asked for it");
  return {};
}

Status Shim::CurrentStatus() const {
  Status status;
  status.phase = phase_;
  status.pid = hypervisor_ ? hypervisor_->pid() : 0;
  status.vsock_pid = vsock_ ? vsock_->pid() : 0;
  status.paused = recovery_.paused_by_operator();
  if (launch_.NeedsVsockDevice()) {
    const Recovery::State state = recovery_.state();
    status.vsock = state == Recovery::State::kLost ? VsockState::kLost
                   : state == Recovery::State::kUp && vsock_ready_ && vsock_
                       ? VsockState::kUp
                       : VsockState::kRestarting;
  }
  status.vsock_restarts = vsock_restarts_;
  status.console_bytes = console_log_.total_bytes();
  status.console_lost_bytes = console_log_.lost_bytes();
  status.log_lost_bytes = hypervisor_log_.lost_bytes() + vsock_log_.lost_bytes();
  status.qmp_dropped = monitor_ ? monitor_->dropped_lines() : 0;
  status.clients_dropped = control_.dropped_clients();
  return status;
}

}  // namespace berth::shim
