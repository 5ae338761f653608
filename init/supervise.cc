// SPDX-License-Identifier: Apache-2.0
#include "init/supervise.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "init/console.h"
#include "init/finish.h"
#include "init/open_files.h"
#include "init/processes.h"
#include "protocol/base/io.h"

namespace berth::init {
namespace {

// In an epoll event's data; those from kFirstServiceEvent on are the runner's.
enum Source : uint64_t { kSignals, kTimer, kControl, kOther, kButton };

struct SignalMeaning {
  int signal;
  ShutdownMode mode;
  const char* name;
};

// docs/init.md explains the choice; poweroff(8), reboot(8) and halt(8) of busybox send USR2, TERM
// and USR1.
constexpr SignalMeaning kMeanings[] = {
    {SIGTERM, ShutdownMode::kPowerOff, "SIGTERM"}, {SIGPWR, ShutdownMode::kPowerOff, "SIGPWR"},
    {SIGUSR2, ShutdownMode::kPowerOff, "SIGUSR2"}, {SIGINT, ShutdownMode::kReboot, "SIGINT"},
    {SIGUSR1, ShutdownMode::kHalt, "SIGUSR1"},
};

sigset_t HandledSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  for (const SignalMeaning& meaning : kMeanings) sigaddset(&set, meaning.signal);
  return set;
}

constexpr int kReapBatch = 512;
// A zombie tells nobody but its parent when it goes, so here alone PID 1 looks again and again.
constexpr std::chrono::milliseconds kZombieLook{5};
constexpr const char* kAgentName = "agent";
constexpr const char* kSyslogPath = "/dev/log";
constexpr int kEventBatch = 32;

std::string DescribeCause(ShutdownCause cause, std::string_view name) {
  switch (cause) {
    case ShutdownCause::kHost:
      return "asked by the host";
    case ShutdownCause::kMain:
      return "the main service " + std::string(name) + " has ended";
    case ShutdownCause::kSignal:
      return "asked by " + std::string(name);
    case ShutdownCause::kCrashLoop:
      return std::string(name) + " only crashes";
  }
  return "";
}

}  // namespace

void BlockSignals() {
  const sigset_t set = HandledSignals();
  sigprocmask(SIG_BLOCK, &set, nullptr);
}

Supervisor::Supervisor(Agent agent, std::optional<LogPipeEnds> own_log, BootPhases phases,
                       const Config& config, Configure configure)
    : agent_(std::move(agent)),
      own_log_(std::move(own_log)),
      phases_(phases),
      config_(config),
      agent_life_(BackoffPolicy{},
                  [this] {
                    watched_control_ = -1;  // the number of the new socket may be the old one's
                    return agent_.Start(phases_.all(),
                                        [this](int control) { log_.SendAll(control); });
                  }),
      shutdown_(config.shutdown),
      runner_(config, {},
              {.end_machine =
                   [this](ShutdownCause cause, const ServiceRow& row) {
                     Request(ShutdownMode::kPowerOff, {}, cause, row.name);
                   },
               .configure = std::move(configure),
               .log_output =
                   [this](ServiceId id, const ServiceConfig& service) {
                     return log_.OutputOf(static_cast<uint32_t>(id), service, agent_.control_fd());
                   }}) {}

Result<> Supervisor::Start() {
  // The three-finger salute becomes a SIGINT to PID 1, not an unclean reboot.
  reboot(RB_DISABLE_CAD);
  const sigset_t set = HandledSignals();
  signals_.Reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  timer_.Reset(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
  if (!signals_ || !timer_ || !epoll_) return ErrnoError("event-loop");
  epoll_event on_signal{.events = EPOLLIN, .data = {.u64 = kSignals}};
  epoll_event on_timer{.events = EPOLLIN, .data = {.u64 = kTimer}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, signals_.get(), &on_signal) != 0 ||
      epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, timer_.get(), &on_timer) != 0) {
    return ErrnoError("event-loop", "epoll_ctl");
  }
  // Not every machine has one; the agent and the signals are there besides.
  if (auto button = PowerButton::Open()) {
    button_ = std::move(*button);
    epoll_event on_press{.events = EPOLLIN, .data = {.u64 = kButton}};
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, button_->fd(), &on_press);
  }
  RaiseOpenFiles();
  log_.Open(config_.log, std::exchange(own_log_, std::nullopt), kSyslogPath);
  BERTH_TRY(agent_life_.StartIfDue(Deadline::Clock::now()));
  runner_.Open(epoll_.get());
  runner_.Begin(Deadline::Clock::now());
  return {};
}

void Supervisor::Run() {
  for (;;) {
    if (auto started = agent_life_.StartIfDue(Deadline::Clock::now()); !started) {
      WarnOfAgent(started.error().Message());
    }
    WatchAgent();
    ArmTimer();
    epoll_event events[kEventBatch];
    const int n = epoll_wait(epoll_.get(), events, kEventBatch, more_to_reap_ ? 0 : -1);
    for (int i = 0; i < n; ++i) {
      switch (events[i].data.u64) {
        case kSignals:
          TakeSignals();
          more_to_reap_ = true;
          break;
        case kControl:
          TakeRequests();
          break;
        case kOther:
          other_.Reset();
          break;
        case kButton:
          if (button_->Pressed()) {
            Request(ShutdownMode::kPowerOff, {}, ShutdownCause::kSignal, "the power button");
          }
          break;
        case kTimer: {
          uint64_t expirations;
          [[maybe_unused]] const ssize_t taken =
              read(timer_.get(), &expirations, sizeof(expirations));
          break;
        }
        default:
          runner_.Event(events[i].data.u64, Deadline::Clock::now());
          break;
      }
    }
    if (more_to_reap_) more_to_reap_ = Reap();
    const Time now = Deadline::Clock::now();
    if (const auto due = runner_.next_deadline(); due && now >= *due) runner_.TimePassed(now);
    if (runner_.graph().health_changes() != health_told_) {
      health_told_ = runner_.graph().health_changes();
      agent_.Tell({.kind = ControlKind::kHealthChanged});
    }
    if (shutdown_.begun() && !runner_.any_running()) Do(shutdown_.ServicesDown());
    Do(shutdown_.TimePassed(Deadline::Clock::now()));
    FollowOthers();
  }
}

void Supervisor::TakeSignals() {
  signalfd_siginfo info;
  while (read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
    for (const SignalMeaning& meaning : kMeanings) {
      if (static_cast<int>(info.ssi_signo) == meaning.signal) {
        Request(meaning.mode, {}, ShutdownCause::kSignal, meaning.name);
      }
    }
  }
}

void Supervisor::TakeRequests() {
  while (const auto packet = agent_.TakeRequest()) {
    const auto grace = std::clamp<int64_t>(packet->grace_ms, 0, kMaxGrace.count());
    Request(packet->mode, std::chrono::milliseconds(grace), ShutdownCause::kHost, "");
  }
}

bool Supervisor::Reap() {
  for (int i = 0; i < kReapBatch; ++i) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid == 0) return false;
    if (pid < 0) {
      // ECHILD: nothing runs but PID 1, for every orphan is its child.
      Do(shutdown_.NoProcessLeft());
      return false;
    }
    if (runner_.Reaped(pid, status, Deadline::Clock::now())) continue;
    const auto end = agent_life_.Reaped(pid, status, Deadline::Clock::now());
    if (!end) continue;
    // What ran in its sessions, also what had left their process groups. Where there is no such
    // cgroup there is nothing to kill.
    static const std::string sessions =
        std::string(kCgroupRoot) + "/" + kSessionsCgroup + "/cgroup.kill";
    [[maybe_unused]] const auto killed = WriteKnob(sessions.c_str(), "1");
    ReportEnd(*end);
  }
  return true;
}

void Supervisor::ReportEnd(const AgentLife::End& end) {
  if (shutdown_.begun()) return;
  const std::string text = "ended (" + end.how + ")";
  if (end.crash_loop && !end.was_stable) {
    // It never worked on this machine, and without it the host can do nothing here. Once it has
    // worked, the machine is worth more than the verdict: it is then tried for ever.
    Log(LogLevel::kFatal, kProgram,
        kAgentName + (": " + text) + " again and again since boot; powering off");
    agent_life_.StopRestarting();
    Request(ShutdownMode::kPowerOff, {}, ShutdownCause::kCrashLoop, kAgentName);
    return;
  }
  WarnOfAgent(text + "; starts again in " + std::to_string(end.restart_in.count()) + " ms");
}

void Supervisor::WarnOfAgent(std::string text) {
  if (!deaths_.Allow()) return;
  if (const long swallowed = deaths_.TakeSuppressed()) {
    text += " (" + std::to_string(swallowed) + " such lines left out)";
  }
  Warn(kAgentName + (": " + text));
}

void Supervisor::Request(ShutdownMode mode, std::chrono::milliseconds grace, ShutdownCause cause,
                         std::string_view name) {
  if (!shutdown_.begun()) {
    cause_ = cause;
    cause_name_ = name;
    Info("shutting down: " + DescribeCause(cause, name));
    agent_life_.StopRestarting();
    agent_.Tell({.kind = ControlKind::kShuttingDown, .mode = mode, .cause = cause});
  }
  Do(shutdown_.Request(mode, grace, Deadline::Clock::now()));
}

ControlPacket Supervisor::Report(ControlKind kind) const {
  ControlPacket packet{.kind = kind, .mode = shutdown_.mode(), .cause = cause_};
  for (ServiceId id = 0; id < runner_.graph().size(); ++id) {
    const ServiceRow row = runner_.graph().Row(id);
    if (row.main == 0) continue;
    packet.main_exit_code = row.exit_code;
    packet.main_exit_signal = row.exit_signal;
  }
  packet.monotonic_ns = MonotonicNs();
  cause_name_.copy(packet.name, sizeof(packet.name) - 1);
  return packet;
}

void Supervisor::Do(Shutdown::Action action) {
  const pid_t agent = agent_life_.pid();
  switch (action) {
    case Shutdown::Action::kNothing:
      return;
    case Shutdown::Action::kStopServices:
      runner_.BeginShutdown(*shutdown_.deadline(), Deadline::Clock::now());
      return;
    case Shutdown::Action::kTerminateAll:
      SignalAllBut(agent, SIGTERM);
      // A stopped process would hold its SIGTERM until the grace is over.
      SignalAllBut(agent, SIGCONT);
      return;
    case Shutdown::Action::kKillAllOthers:
      Warn("shutdown: not all have ended within the grace; the rest is killed");
      SignalAllBut(agent, SIGKILL);
      return;
    case Shutdown::Action::kEndAgent:
      agent_.Tell(Report(ControlKind::kGoingDown));
      if (agent > 0) kill(agent, SIGTERM);
      // With no child at all there is no SIGCHLD to wait for.
      more_to_reap_ = true;
      return;
    case Shutdown::Action::kKillAll:
      kill(-1, SIGKILL);
      return;
    case Shutdown::Action::kFinish:
      Finish(shutdown_.mode(), config_.shutdown.finish_wait);
  }
}

void Supervisor::FollowOthers() {
  if (shutdown_.stage() != Shutdown::Stage::kTerminating &&
      shutdown_.stage() != Shutdown::Stage::kKillingOthers) {
    other_.Reset();
    look_again_at_.reset();
    return;
  }
  const Time now = Deadline::Clock::now();
  if (other_ || (look_again_at_ && now < *look_again_at_)) return;
  look_again_at_.reset();
  const auto other = FindOther(agent_life_.pid());
  if (!other) return Do(shutdown_.OnlyAgentLeft(now));
  if (!other->zombie) {
    other_.Reset(static_cast<int>(syscall(SYS_pidfd_open, other->pid, 0)));
    epoll_event on_end{.events = EPOLLIN, .data = {.u64 = kOther}};
    if (other_ && epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, other_.get(), &on_end) == 0) return;
    other_.Reset();
  }
  look_again_at_ = now + kZombieLook;
}

void Supervisor::ArmTimer() {
  std::optional<Time> next = agent_life_.next_start();
  for (const auto& each : {shutdown_.deadline(), look_again_at_, runner_.next_deadline()}) {
    if (each && (!next || *each < *next)) next = each;
  }
  if (next == armed_) return;
  armed_ = next;
  itimerspec setting{};
  if (next) {
    // A steady_clock time is CLOCK_MONOTONIC's; zero would disarm, the past fires at once.
    const int64_t ns =
        std::max<int64_t>(std::chrono::nanoseconds(next->time_since_epoch()).count(), 1);
    setting.it_value.tv_sec = static_cast<time_t>(ns / 1'000'000'000);
    setting.it_value.tv_nsec = static_cast<long>(ns % 1'000'000'000);
  }
  timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &setting, nullptr);
}

void Supervisor::WatchAgent() {
  // A closed descriptor has left the epoll set by itself.
  if (agent_.control_fd() < 0) watched_control_ = -1;
  if (agent_.control_fd() == watched_control_) return;
  epoll_event on_control{.events = EPOLLIN, .data = {.u64 = kControl}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, agent_.control_fd(), &on_control) != 0) {
    Warn(Error{"control", errno, "the agent's requests cannot be heard", ""});
  }
  watched_control_ = agent_.control_fd();
}

}  // namespace berth::init
