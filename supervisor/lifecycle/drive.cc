// SPDX-License-Identifier: Apache-2.0
//
// Drive: the one coroutine that owns a VM's processes, from the start to the end of the last one.
#include <fmt/format.h>

#include "protocol/base/log.h"
#include "supervisor/lifecycle/evidence.h"
#include "supervisor/lifecycle/fleet.h"
#include "supervisor/lifecycle/settle.h"

namespace berth::lifecycle {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

std::function<void()> Waker(const VmPtr& vm) {
  return [weak = std::weak_ptr<Vm>(vm)] {
    if (const VmPtr alive = weak.lock()) alive->changed().NotifyAll();
  };
}

enum class Boot { kReady, kFailed, kHung, kStopAsked };

// Any process in the guest may have rung in words that we do not speak: so long the agent has to
// ring itself.
constexpr auto kRefusalGrace = std::chrono::seconds(3);
// Entries of the event log that one guest causes, in a minute.
constexpr int kMaxGuestNotes = 10;
// The same, of its health and its clock, so that neither drowns the other.
constexpr int kMaxHealthNotes = 60;
constexpr int kMaxClockNotes = 6;

// Waits for what comes of a launch: first the hypervisor, then the guest's Ready.
awaitable<Boot> AwaitBoot(VmPtr vm, InstancePtr instance, StartPhase* phase) {
  const VmTimeouts& timeouts = vm->spec().timeouts;
  *phase = StartPhase::kLaunch;
  Deadline deadline = Deadline::In(timeouts.launch);
  std::optional<Deadline> refusal;
  for (;;) {
    const Instance::View& view = instance->view();
    if (vm->stop_request) co_return Boot::kStopAsked;
    if (view.Ended() || !view.vsock_lost.empty()) co_return Boot::kFailed;
    if (view.launched && *phase == StartPhase::kLaunch) {
      *phase = StartPhase::kBoot;
      deadline = Deadline::In(timeouts.boot);
    }
    if (view.launched && view.ready) co_return Boot::kReady;
    if (!view.refused) refusal.reset();
    if (view.refused && !refusal) refusal = Deadline::In(kRefusalGrace);
    if (refusal && refusal->Passed()) co_return Boot::kFailed;
    if (deadline.Passed()) {
      co_return *phase == StartPhase::kBoot && !refusal ? Boot::kHung : Boot::kFailed;
    }
    co_await vm->changed().Wait(refusal && refusal->at() < deadline.at() ? *refusal : deadline);
  }
}

struct Attempt {
  Outcome<> outcome;
  bool again = false;  // worth another attempt: the guest fell silent for no stated reason
};

// A start that came to nothing: why, what was left of it down, the VM in StartFailed.
awaitable<Attempt> FailStart(VmPtr vm, InstancePtr instance, Fault why, bool hung) {
  const auto down = co_await instance->TearDown(Deadline::In(kTeardownTimeout));
  std::string text = why.Message();
  if (!co_await Settle(vm, Event::kLaunchFailed, StartFailed{why}, std::move(text))) {
    co_return Attempt{std::unexpected(std::move(why))};
  }
  if (!down) {
    Fault left = ToFault(Kind::kFailed, down.error());
    text = left.Message();
    co_await Settle(vm, Event::kTeardownFailed, Failed{left, {}, instance}, std::move(text));
    co_return Attempt{std::unexpected(std::move(left))};
  }
  co_return Attempt{std::unexpected(std::move(why)), hung};
}

awaitable<Attempt> TryStart(Host& host, VmPtr vm, int attempt, std::string why) {
  vm->boot_attempts = attempt;
  if (auto moved = vm->Apply(attempt == 1 ? Event::kLaunch : Event::kRetry,
                             Starting{attempt, nullptr}, std::move(why));
      !moved) {
    co_return Attempt{std::unexpected(ToFault(Kind::kFailed, moved.error()))};
  }
  auto launched =
      co_await host.Launch(vm->spec(), Waker(vm), Deadline::In(vm->spec().timeouts.launch));
  if (!launched) {
    co_await Settle(vm, Event::kLaunchFailed, StartFailed{launched.error()},
                    launched.error().Message());
    co_return Attempt{std::unexpected(launched.error())};
  }
  const InstancePtr instance = *launched;
  std::get<Starting>(vm->body()).instance = instance;
  vm->accelerator = instance->Accelerator();

  StartPhase phase{};
  const Boot boot = co_await AwaitBoot(vm, instance, &phase);
  if (boot == Boot::kStopAsked) {
    co_await Settle(vm, Event::kStop, Stopping{instance}, vm->stop_request->why);
    co_return Attempt{Refuse(Kind::kWrongState, "start", ECANCELED,
                             vm->name() + " was stopped while it was starting")};
  }
  if (boot == Boot::kReady) {
    const GuestReady& ready = *instance->view().ready;
    auto timeline = MakeTimeline(*instance->view().launched, ready);
    auto moved =
        vm->Apply(Event::kReady, Running{instance},
                  fmt::format("agent {} on Linux {}, {:.0f} ms after the hypervisor's exec",
                              ready.build_id, ready.kernel_release, timeline.back().ms));
    if (moved) {
      vm->timeline = std::move(timeline);
      co_return Attempt{};
    }
    co_return co_await FailStart(vm, instance, ToFault(Kind::kFailed, moved.error()), false);
  }
  const Evidence evidence = instance->CollectEvidence();
  const auto allowed =
      phase == StartPhase::kBoot ? vm->spec().timeouts.boot : vm->spec().timeouts.launch;
  const bool silent = boot == Boot::kHung && GuestCause(evidence.console_tail).empty();
  co_return co_await FailStart(
      vm, instance, ExplainStartFailure(instance->view(), evidence, phase, allowed), silent);
}

awaitable<Outcome<>> RunStart(Host& host, VmPtr vm, std::string why) {
  for (int attempt = 1;; ++attempt) {
    const Attempt result = co_await TryStart(host, vm, attempt, std::move(why));
    if (!result.again || attempt == kBootAttempts || vm->stop_request) co_return result.outcome;
    why = fmt::format("the boot hung: attempt {} of {}", attempt + 1, kBootAttempts);
  }
}

awaitable<void> AfterEnd(VmPtr vm, InstancePtr instance) {
  const Ending ending = ExplainEnd(instance->view(), instance->CollectEvidence());
  const auto exit = instance->view().exit;
  const auto guest_exit = instance->view().guest_exit;
  if (ending.clean) {
    co_await Settle(vm, Event::kPoweredOff, Stopping{instance}, ending.how.detail);
  }
  // The hypervisor is gone; its device, its shim and its sockets follow.
  const auto down = co_await instance->TearDown(Deadline::In(kTeardownTimeout));
  if (!ending.clean) {
    co_await Settle(vm, Event::kCrashed,
                    Failed{ending.how, exit, down ? nullptr : instance, guest_exit},
                    ending.how.Message());
  } else if (!down) {
    const Fault left = ToFault(Kind::kFailed, down.error());
    co_await Settle(vm, Event::kTeardownFailed, Failed{left, exit, instance, guest_exit},
                    left.Message());
  } else {
    co_await Settle(vm, Event::kEnded, Stopped{ending.how.detail, exit, guest_exit},
                    ending.how.detail);
  }
}

// Says in the event log what has happened to a running VM's agent and device since the last look.
// What the guest can bring about by itself it can bring about at any rate: of that a few a minute.
class Changes {
 public:
  explicit Changes(const Instance::View& view) : seen_(view) {}

  // The guest may have been faster than the look that this is the first of.
  void ForgetWhatTheGuestSaid() {
    seen_.refusals = 0;
    seen_.clock_reports = 0;
    seen_.oom_kills = 0;
  }

  void NoteSince(Vm& vm, const Instance::View& view) {
    const Seen before = std::exchange(seen_, Seen(view));
    NoteHealth(vm, view);
    if (view.clock && view.clock_reports != before.clock_reports) {
      NoteBounded(vm, EntryKind::kClock, Explain(*view.clock), std::nullopt, clock_notes_);
    }
    if (view.thaws != before.thaws) {
      NoteOfGuest(vm, EntryKind::kGuest,
                  "warning: its file systems were thawed by its agent: nobody had thawed them in "
                  "time");
    }
    if (view.configure_refusals != before.refusals) {
      NoteOfGuest(vm, EntryKind::kGuest,
                  "warning: PID 1 did not take the guest configuration: " + view.configure_refused);
    }
    const uint64_t kills =
        std::min<uint64_t>(view.oom_kill_count - before.oom_kills, view.oom_kills.size());
    for (size_t i = view.oom_kills.size() - kills; i < view.oom_kills.size(); ++i) {
      NoteOfGuest(vm, EntryKind::kGuest, view.oom_kills[i]);
    }
    if (view.vsock_restarts != before.restarts) {
      vm.Note(EntryKind::kStep, "the vsock device died and was started again", view.vsock_restarts);
    }
    if (seen_.vsock_lost && !before.vsock_lost) {
      vm.Note(EntryKind::kStep, "the vsock device is lost: " + view.vsock_lost);
    }
    if (seen_.logs_dropped != before.logs_dropped) {
      NoteOfGuest(vm, EntryKind::kStep,
                  before.logs_dropped ? "log records are kept again"
                                      : "log records are dropped: " + view.log_trouble);
    }
    if (view.ready && view.ready->instance_id != before.id) {
      NoteOfGuest(vm, EntryKind::kAgent, "the agent was started again", view.ready->agent_starts);
    } else if (view.agent == AgentState::kUp && before.agent == AgentState::kLost) {
      NoteOfGuest(vm, EntryKind::kAgent, "the agent answers again");
    }
    if (view.agent == AgentState::kLost && before.agent != AgentState::kLost) {
      NoteOfGuest(vm, EntryKind::kAgent, "the agent is lost: " + view.agent_why);
    }
  }

 private:
  struct Seen {
    explicit Seen(const Instance::View& view)
        : agent(view.agent),
          id(view.ready ? view.ready->instance_id : ""),
          restarts(view.vsock_restarts),
          refusals(view.configure_refusals),
          clock_reports(view.clock_reports),
          thaws(view.thaws),
          oom_kills(view.oom_kill_count),
          vsock_lost(!view.vsock_lost.empty()),
          logs_dropped(!view.log_trouble.empty()) {}
    AgentState agent;
    std::string id;
    uint32_t restarts;
    uint32_t refusals;
    uint32_t clock_reports;
    uint32_t thaws;
    uint64_t oom_kills;
    bool vsock_lost;
    bool logs_dropped;
  };

  void NoteOfGuest(Vm& vm, EntryKind kind, std::string why,
                   std::optional<uint64_t> count = std::nullopt) {
    NoteBounded(vm, kind, std::move(why), count, guest_notes_);
  }

  static void NoteBounded(Vm& vm, EntryKind kind, std::string why, std::optional<uint64_t> count,
                          LogLimiter& limiter) {
    if (!limiter.Allow()) return;
    if (const long left_out = limiter.TakeSuppressed(); left_out > 0) {
      why = fmt::format("({} entries of this guest were left out) {}", left_out, why);
    }
    vm.Note(kind, std::move(why), count);
  }

  void NoteHealth(Vm& vm, const Instance::View& view) {
    if (view.health.version == health_version_) return;
    health_version_ = view.health.version;
    for (std::string& line : HealthNews(health_, view.health.rows)) {
      NoteBounded(vm, EntryKind::kHealth, std::move(line), std::nullopt, health_notes_);
    }
    health_ = view.health.rows;
  }

  Seen seen_;
  std::vector<HealthRow> health_;  // as noted; a change before the first look is one too
  uint64_t health_version_ = 0;
  LogLimiter guest_notes_{kMaxGuestNotes, std::chrono::minutes(1)};
  LogLimiter health_notes_{kMaxHealthNotes, std::chrono::minutes(1)};
  LogLimiter clock_notes_{kMaxClockNotes, std::chrono::minutes(1)};
};

awaitable<void> Watch(VmPtr vm) {
  const InstancePtr instance = vm->instance();
  Changes changes(instance->view());
  changes.ForgetWhatTheGuestSaid();
  for (;;) {
    if (instance->view().Ended()) co_return co_await AfterEnd(vm, instance);
    if (vm->stop_request) {
      co_await Settle(vm, Event::kStop, Stopping{instance}, vm->stop_request->why);
      co_return;
    }
    changes.NoteSince(*vm, instance->view());
    co_await vm->changed().Wait(Deadline::In(kUntilNotified));
  }
}

}  // namespace

std::string_view Name(AgentState state) {
  switch (state) {
    case AgentState::kAwaited:
      return "awaited";
    case AgentState::kUp:
      return "up";
    case AgentState::kLost:
      return "lost";
  }
  return "unknown";
}

awaitable<void> Drive(Host& host, VmPtr vm, std::string why) {
  if (vm->stop_request) {
    vm->start_result = Refuse(Kind::kShuttingDown, "start", ECANCELED, vm->stop_request->why);
  } else {
    vm->start_result = co_await RunStart(host, vm, std::move(why));
    vm->changed().NotifyAll();
    if (vm->state() == State::kRunning) co_await Watch(vm);
    if (vm->state() == State::kStopping && vm->stop_request) co_await RunStop(vm);
  }
  vm->driven = false;
  vm->changed().NotifyAll();
}

}  // namespace berth::lifecycle
