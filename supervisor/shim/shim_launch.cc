// SPDX-License-Identifier: Apache-2.0
//
// Shim, its launch: from launch.json's value to a hypervisor whose monitor answers and a vsock
// device that has dialled it.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <vector>

#include "supervisor/shim/shim.h"
#include "supervisor/shim/unix_socket.h"

namespace berth::shim {
namespace {

constexpr int kMonitorBacklog = 4;
constexpr int kVhostBacklog = 1;

}  // namespace

Result<> Shim::Launch() {
  launch_deadline_ = Deadline::In(launch_.launch_timeout);
  BERTH_TRY(poller_.Watch(signals_.get(), Token::kSignal));
  BERTH_TRY(control_.Start());
  BERTH_TRY(LaunchHypervisor());
  // The vhost socket listens already, so the device can dial before the hypervisor picks up.
  if (launch_.NeedsVsockDevice()) BERTH_TRY(StartDevice());
  return {};
}

Result<> Shim::LaunchHypervisor() {
  UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return ErrnoError("open", "/dev/null");
  BERTH_ASSIGN(ChildPipe input, ChildPipe::ToChild());
  BERTH_ASSIGN(ChildPipe output, ChildPipe::FromChild());
  BERTH_ASSIGN(ChildPipe errors, ChildPipe::FromChild());
  std::vector<ChildFd> fds = {
      {input.theirs.get(), ""}, {output.theirs.get(), ""}, {errors.theirs.get(), ""}};
  UniqueFd vhost;
  UniqueFd qmp;
  UniqueFd monitor_theirs;
  if (launch_.NeedsVsockDevice()) {
    BERTH_ASSIGN(vhost, ListenUnix(launch_.paths.VhostSocket(), kVhostBacklog));
    fds.push_back({vhost.get(), kVhostFd});
  }
  if (launch_.HasQmp()) {
    BERTH_ASSIGN(qmp, ListenUnix(launch_.paths.QmpSocket(), kMonitorBacklog));
    fds.push_back({qmp.get(), kQmpFd});
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
      return ErrnoError("socketpair");
    }
    monitor_ = std::make_unique<Monitor>(UniqueFd(pair[0]), static_cast<Monitor::Listener&>(*this));
    monitor_theirs.Reset(pair[1]);
    fds.push_back({monitor_theirs.get(), kShimQmpFd});
  }
  Started started;
  started.exec_monotonic_ns = MonotonicNs();
  auto child = Child::Start(launch_.hypervisor, fds);
  if (!child) {
    return Fail("spawn-hypervisor", child.error().errnum,
                std::string(child.error().step.name()) + ": " + child.error().detail,
                "is the hypervisor installed at that path, and may this user run it?");
  }
  hypervisor_ = std::move(*child);
  started.pid = hypervisor_->pid();
  started_ = started;
  console_input_ = std::move(input.ours);
  console_ = std::make_unique<Drain>(std::move(output.ours), console_log_);
  hypervisor_stderr_ = std::make_unique<Drain>(std::move(errors.ours), hypervisor_log_);
  BERTH_TRY(poller_.Watch(hypervisor_->pidfd(), Token::kHypervisor));
  BERTH_TRY(poller_.Watch(console_->fd(), Token::kConsole));
  BERTH_TRY(poller_.Watch(hypervisor_stderr_->fd(), Token::kHypervisorStderr));
  if (monitor_) BERTH_TRY(poller_.Watch(monitor_->fd(), Token::kMonitor));
  return {};
}

Result<> Shim::StartDevice() {
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return ErrnoError("open", "/dev/null");
  BERTH_ASSIGN(ChildPipe errors, ChildPipe::FromChild());
  BERTH_ASSIGN(ChildPipe notify, ChildPipe::FromChild());
  if (!vsock_pairs_) {
    vsock_pairs_.Reset(memfd_create("vsock-pairs", MFD_CLOEXEC));
    if (!vsock_pairs_)
      return ErrnoError("memfd", "vsock-pairs", "is the host out of memory or descriptors?");
  }
  const ChildFd fds[] = {{null.get(), ""},
                         {null.get(), ""},
                         {errors.theirs.get(), ""},
                         {notify.theirs.get(), kNotifyFd},
                         {vsock_pairs_.get(), kPairsFd}};
  auto child = Child::Start(launch_.vsock, fds);
  if (!child) {
    return Fail("spawn-vsock-device", child.error().errnum,
                std::string(child.error().step.name()) + ": " + child.error().detail,
                "is berth-vsock installed beside berthd?");
  }
  vsock_ = std::move(*child);
  if (started_) started_->vsock_pid = vsock_->pid();
  vsock_ready_ = false;
  Stop(vsock_stderr_);
  vsock_stderr_ = std::make_unique<Drain>(std::move(errors.ours), vsock_log_);
  vsock_notify_ = std::move(notify.ours);
  BERTH_TRY(poller_.Watch(vsock_->pidfd(), Token::kVsock));
  BERTH_TRY(poller_.Watch(vsock_stderr_->fd(), Token::kVsockStderr));
  BERTH_TRY(poller_.Watch(vsock_notify_.get(), Token::kVsockNotify));
  return {};
}

void Shim::MaybeStarted() {
  // What a hypervisor said before it ended is read after its end too.
  if (phase_ != Phase::kLaunching || !hypervisor_) return;
  if (launch_.NeedsVsockDevice() && !(vsock_ && vsock_ready_)) return;
  if (monitor_ && !monitor_->ready()) return;
  phase_ = Phase::kRunning;
  launch_deadline_.reset();
  control_.Broadcast(*started_);
}

std::string Shim::LaunchProgress() const {
  std::string missing;
  if (launch_.NeedsVsockDevice() && !vsock_ready_) missing = "the vsock device is not ready";
  if (monitor_ && !monitor_->ready()) {
    if (!missing.empty()) missing += " and ";
    missing += "the hypervisor's monitor does not answer";
  }
  return missing + " after " + std::to_string(launch_.launch_timeout.count()) + " ms";
}

}  // namespace berth::shim
