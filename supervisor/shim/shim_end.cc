// SPDX-License-Identifier: Apache-2.0
//
// Shim, its end: nothing of the VM is left running, the exit record is on disk, everybody is told.
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/base/io.h"
#include "supervisor/shim/shim.h"

namespace berth::shim {
namespace {

int64_t Microseconds(const timeval& time) {
  return int64_t{time.tv_sec} * 1'000'000 + time.tv_usec;
}

}  // namespace

void Shim::ReadLastMonitorLines() {
  // What a socket's buffer can hold; a hypervisor that is gone adds nothing.
  constexpr int kMaxChunks = 256;
  for (int i = 0; monitor_ && i < kMaxChunks && monitor_->OnReadable(); ++i) {
    if (PollFor(monitor_->fd(), EPOLLIN, Deadline::In({})).has_value() == false) break;
  }
}

void Shim::OnHypervisorEnd() {
  if (!hypervisor_) return;
  const auto end = hypervisor_->Reap();
  if (!end) return;
  poller_.Forget(hypervisor_->pidfd());
  hypervisor_.reset();
  ReadLastMonitorLines();
  CloseMonitor();
  if (console_) console_->Finish();
  if (hypervisor_stderr_) hypervisor_stderr_->Finish();
  clues_.wait_status = end->wait_status;
  record_.utime_us = Microseconds(end->usage.ru_utime);
  record_.stime_us = Microseconds(end->usage.ru_stime);
  record_.maxrss_kib = end->usage.ru_maxrss;
  if (WIFEXITED(end->wait_status)) record_.code = WEXITSTATUS(end->wait_status);
  if (WIFSIGNALED(end->wait_status)) record_.signal = WTERMSIG(end->wait_status);
  record_.monotonic_ns = MonotonicNs();
  record_.realtime_ns = RealtimeNs();
  if (phase_ == Phase::kLaunching && !kill_requested_) {
    const std::string said = hypervisor_stderr_ ? hypervisor_stderr_->tail() : "";
    return FailLaunch(Error{"hypervisor-exit", 0,
                            "the hypervisor ended at once with " + DescribeEnd(end->wait_status) +
                                (said.empty() ? "" : ": " + said),
                            "see hypervisor.log and console.log in the VM's directory"});
  }
  phase_ = Phase::kEnding;
  record_.reason = ReasonOf(clues_);
  end_grace_.reset();
  if (!vsock_) return Finish();
  vsock_drain_ = Deadline::In(kVsockDrainTimeout);
}

void Shim::FailLaunch(const Error& error) {
  if (done_) return;
  Log(LogLevel::kError, "berth-shim", error.Message());
  phase_ = Phase::kEnding;
  if (hypervisor_) {
    const Child::End end = hypervisor_->KillAndReap();
    record_.maxrss_kib = end.usage.ru_maxrss;
    hypervisor_.reset();
    if (console_) console_->Finish();
    if (hypervisor_stderr_) hypervisor_stderr_->Finish();
  }
  record_.monotonic_ns = MonotonicNs();
  record_.realtime_ns = RealtimeNs();
  record_.reason = ExitReason::kLaunchFailed;
  record_.failure = Failure::From(error);
  Finish();
}

void Shim::EndVsockDevice() {
  if (!vsock_) return;
  vsock_->KillAndReap();
  vsock_.reset();
  if (vsock_stderr_) vsock_stderr_->Finish();
}

void Shim::Finish() {
  if (done_) return;
  done_ = true;
  EndVsockDevice();
  record_.kill_requested = kill_requested_;
  record_.vsock_restarts = vsock_restarts_;
  for (const std::string& path :
       {launch_.paths.VhostSocket(), launch_.paths.QmpSocket(), launch_.paths.VsockSocket()}) {
    unlink(path.c_str());
  }
  // On disk before anybody hears of it: who hears of it may ask berthd, who may ask the file.
  const auto written = WriteFileAtomic(launch_.paths.Exit(), ToJsonText(record_), 0600);
  recorded_ = written.has_value();
  if (!written) {
    Log(LogLevel::kError, "berth-shim",
        "the exit record could not be written: " + written.error().Message());
  }
  if (record_.failure) {
    control_.Broadcast(*record_.failure);
  } else {
    control_.Broadcast(record_);
  }
  // Nobody can come any more; those who are there get what is queued.
  unlink(launch_.paths.ShimSocket().c_str());
  control_.Flush(Deadline::In(kFarewellTimeout));
}

}  // namespace berth::shim
