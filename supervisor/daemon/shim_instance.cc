// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/shim_instance.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "protocol/wire/limits.h"
#include "supervisor/daemon/log_tail.h"
#include "supervisor/lifecycle/evidence.h"

namespace berth::daemon {

namespace asio = boost::asio;
using asio::awaitable;
using lifecycle::AgentState;
using lifecycle::Fault;
using lifecycle::Kind;
using lifecycle::Outcome;

namespace {

constexpr auto kConnectTimeout = std::chrono::seconds(5);
// Between looks at what can be awaited forever: each coroutine comes by and sees whether it is
// over.
constexpr auto kIdle = std::chrono::minutes(10);
constexpr size_t kEvidenceBytes = 64 * 1024;
// Of one guest, in a minute. An honest one has two to tell in its life, and 20 kills for want of
// memory a minute, of which the last 16 may come twice.
constexpr int kMaxGuestEvents = 64;
// One for each time that its health was asked for.
constexpr int kMaxHealthBells = 240;

UniqueFd OpenPidfd(int pid) {
  return UniqueFd(pid > 0 ? static_cast<int>(syscall(SYS_pidfd_open, pid, 0)) : -1);
}

// No process is behind it any more (a zombie counts as gone: its parent is being torn down too).
bool Gone(const UniqueFd& pidfd) {
  if (!pidfd) return true;
  pollfd watched{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
  return poll(&watched, 1, 0) == 1;
}

}  // namespace

ShimInstance::ShimInstance(asio::any_io_executor executor, Parts parts,
                           std::function<void()> changed)
    : executor_(executor),
      backend_(parts.backend),
      paths_(std::move(parts.paths)),
      accelerator_(std::move(parts.accelerator)),
      changed_(std::move(changed)),
      woken_(executor),
      shim_pid_(parts.shim.pid),
      shim_pidfd_(executor, parts.shim.pidfd.Release()),
      ready_(std::move(parts.ready)),
      guest_config_(std::move(parts.guest_config)),
      health_checks_(std::move(parts.health)),
      logs_(std::move(parts.logs)),
      guest_events_(kMaxGuestEvents, std::chrono::minutes(1)),
      health_bells_(kMaxHealthBells, std::chrono::minutes(1)) {
  ready_->set_configure_follows(!guest_config_.empty());
}

void ShimInstance::Start() {
  const Self self = shared_from_this();
  asio::co_spawn(executor_, ReapShim(self), asio::detached);
  asio::co_spawn(executor_, FollowShim(self), asio::detached);
  asio::co_spawn(executor_, FollowReady(self), asio::detached);
  asio::co_spawn(executor_, FollowAgent(self), asio::detached);
  asio::co_spawn(executor_, TendGuest(self), asio::detached);
  FollowLogs();
}

void ShimInstance::FollowLogs() {
  log_follower_ = std::make_shared<LogFollower>(
      executor_, LogFollower::Parts{paths_.VsockSocket(), logs_,
                                    [weak = weak_from_this()](const std::string& trouble) {
                                      const auto self = weak.lock();
                                      if (self == nullptr) return;
                                      self->view_.log_trouble = trouble;
                                      self->Changed();
                                    }});
  log_follower_->Start();
}

void ShimInstance::Changed() {
  // What the guest has sent is still to be read when it is gone.
  if (view_.Ended() && log_follower_ != nullptr) log_follower_->Finish();
  woken_.NotifyAll();
  changed_();
}

void ShimInstance::SetAgent(AgentState state, std::string why) {
  if (view_.agent == state && view_.agent_why == why) return;
  view_.agent = state;
  view_.agent_why = std::move(why);
  Changed();
}

awaitable<void> ShimInstance::ReapShim(Self self) {
  boost::system::error_code code;
  siginfo_t info{};
  for (;;) {
    co_await self->shim_pidfd_.async_wait(asio::posix::stream_descriptor::wait_read,
                                          asio::redirect_error(asio::use_awaitable, code));
    info.si_pid = 0;
    if (waitid(P_PIDFD, static_cast<id_t>(self->shim_pidfd_.native_handle()), &info,
               WEXITED | WNOHANG) != 0 ||
        info.si_pid != 0 || code) {
      break;
    }
  }
  self->shim_reaped_ = true;
  // FollowShim finds the end through its connection, but where there never was one.
  if (self->client_ == nullptr) self->TakeEnd();
  self->woken_.NotifyAll();
}

awaitable<void> ShimInstance::FollowShim(Self self) {
  auto client =
      co_await shim::Client::Connect(self->paths_.ShimSocket(), Deadline::In(kConnectTimeout));
  if (!client) {
    // ReapShim tells of its end; if it lives and cannot be reached, the launch deadline does.
    spdlog::warn("{}: {}", self->paths_.dir, client.error().Message());
    co_return;
  }
  self->client_ = std::move(*client);
  self->woken_.NotifyAll();
  for (;;) {
    const auto event = co_await self->client_->Next(Deadline::In(kIdle));
    if (event) {
      self->Take(*event);
    } else if (event.error().errnum != ETIMEDOUT) {
      break;
    }
  }
  self->TakeEnd();
}

void ShimInstance::Take(const shim::Event& event) {
  if (const auto* started = std::get_if<shim::Started>(&event)) {
    // While the shim has not reaped them their pids are theirs.
    hypervisor_pidfd_ = OpenPidfd(started->pid);
    vsock_pidfd_ = OpenPidfd(started->vsock_pid);
    view_.launched = lifecycle::Launched{shim_pid_, started->pid, started->vsock_pid,
                                         started->exec_monotonic_ns};
  } else if (const auto* restarted = std::get_if<shim::VsockRestarted>(&event)) {
    vsock_pidfd_ = OpenPidfd(restarted->pid);
    view_.vsock_restarts = restarted->count;
    if (view_.launched) view_.launched->vsock_pid = restarted->pid;
  } else if (const auto* lost = std::get_if<shim::VsockLost>(&event)) {
    view_.vsock_lost = lost->detail.empty() ? "it died too often" : lost->detail;
  } else if (const auto* exit = std::get_if<shim::ExitRecord>(&event)) {
    view_.exit = *exit;
    if (view_.agent == AgentState::kUp) view_.agent = AgentState::kLost;
  } else if (const auto* failure = std::get_if<shim::Failure>(&event)) {
    shim::ExitRecord record;
    record.reason = shim::ExitReason::kLaunchFailed;
    record.failure = *failure;
    view_.exit = std::move(record);
  }
  Changed();
}

void ShimInstance::TakeEnd() {
  if (view_.Ended()) return;
  if (auto record = shim::ReadExitRecord(paths_.Exit())) {
    view_.exit = std::move(*record);
  } else {
    const auto words = ReadLogTail(paths_.ShimLog(), 2048);
    view_.lost =
        Fault{Kind::kFailed, "shim", 0,
              "berth-shim ended and left no exit record" +
                  (words && !words->text.empty() ? ": " + lifecycle::LastLines(words->text, 2)
                                                 : std::string(": it was killed")),
              "its hypervisor ended with it"};
  }
  if (view_.agent == AgentState::kUp) view_.agent = AgentState::kLost;
  Changed();
}

lifecycle::Evidence ShimInstance::CollectEvidence() const {
  lifecycle::Evidence evidence;
  if (auto tail = ReadLogTail(paths_.ConsoleLog(), kEvidenceBytes)) {
    evidence.console_tail = std::move(tail->text);
  }
  if (auto tail = ReadLogTail(paths_.HypervisorLog(), kEvidenceBytes)) {
    evidence.hypervisor_tail = std::move(tail->text);
  }
  return evidence;
}

awaitable<Result<>> ShimInstance::AskHypervisorToQuit(Deadline deadline) {
  co_return co_await backend_.Quit(paths_, deadline);
}

awaitable<Result<>> ShimInstance::SetPaused(bool paused, Deadline deadline) {
  auto done = paused ? co_await backend_.Pause(paths_, deadline)
                     : co_await backend_.Resume(paths_, deadline);
  if (done) {
    view_.paused = paused;
    // It stood still, its clock and its random pool with it.
    if (!paused) MakeDue(kReseed | kClock);
    Changed();
  }
  co_return done;
}

awaitable<Result<>> ShimInstance::TearDown(Deadline deadline) {
  down_ = true;
  // Half of the time for the shim to do it in order: then there is an exit record.
  const auto half = (deadline.at() - Deadline::Clock::now()) / 2;
  const Deadline orderly = Deadline::In(half);
  if (!view_.Ended() && client_ != nullptr) {
    if (auto asked = co_await client_->Kill(orderly); !asked) {
      spdlog::warn("{}: kill: {}", paths_.dir, asked.error().Message());
    }
  }
  while ((client_ != nullptr || view_.Ended()) && !shim_reaped_ && !orderly.Passed()) {
    co_await woken_.Wait(orderly);
  }
  // What the shim started dies with it (PDEATHSIG).
  if (!shim_reaped_)
    syscall(SYS_pidfd_send_signal, shim_pidfd_.native_handle(), SIGKILL, nullptr, 0);
  const auto all_gone = [&] {
    return shim_reaped_ && Gone(hypervisor_pidfd_) && Gone(vsock_pidfd_);
  };
  constexpr auto kLook = std::chrono::milliseconds(10);
  while (!all_gone() && !deadline.Passed()) co_await woken_.Wait(Deadline::In(kLook));

  if (ready_ != nullptr) ready_->Close();
  if (agent_ != nullptr) agent_->Close();
  if (client_ != nullptr) client_->Cancel();
  if (log_follower_ != nullptr) log_follower_->Finish();
  woken_.NotifyAll();
  if (!all_gone()) {
    std::string left = shim_reaped_ ? "" : fmt::format(" shim {}", shim_pid_);
    if (view_.launched && !Gone(hypervisor_pidfd_)) {
      left += fmt::format(" hypervisor {}", view_.launched->hypervisor_pid);
    }
    if (view_.launched && !Gone(vsock_pidfd_)) {
      left += fmt::format(" vsock device {}", view_.launched->vsock_pid);
    }
    co_return Fail("tear-down", ETIMEDOUT, "processes that SIGKILL did not end:" + left,
                   "they hang in the kernel: look at /proc/PID/stack");
  }
  TakeEnd();
  for (const std::string& path : {paths_.ShimSocket(), paths_.QmpSocket(), paths_.VhostSocket(),
                                  paths_.VsockSocket(), paths_.ReadySocket()}) {
    unlink(path.c_str());
  }
  co_return Result<>{};
}

}  // namespace berth::daemon
