// SPDX-License-Identifier: Apache-2.0
#include "init/service_graph.h"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <utility>

#include "init/wait_status.h"

namespace berth::init {
namespace {

using Time = ServiceGraph::Time;

// Of one probe for readiness, which has no key of its own: a connection that nobody answers.
constexpr Milliseconds kReadyProbeTimeout{5'000};
constexpr size_t kMaxStatusChars = 120;
// As shells and container runtimes have it, where a main service never ran.
constexpr int kCannotRun = 126;
constexpr int kNotFound = 127;
constexpr int kGaveUp = 125;  // it never ran, or was not ready or healthy in time

int64_t Ns(Time time) { return std::chrono::nanoseconds(time.time_since_epoch()).count(); }

Milliseconds Since(Time since, Time now) {
  return std::chrono::duration_cast<Milliseconds>(now - since);
}

std::string Ms(Milliseconds time) { return std::to_string(time.count()) + " ms"; }

BackoffPolicy PolicyOf(const RestartConfig& restart) {
  return {.first = restart.first,
          .longest = restart.longest,
          .stable_after = restart.stable_after,
          .budget = restart.budget,
          .jitter = restart.jitter};
}

}  // namespace

ServiceGraph::ServiceGraph(const Config& config, std::function<double()> random)
    : config_(config), random_(std::move(random)) {
  services_.reserve(config.services.size());
  for (const ServiceConfig& each : config.services) {
    services_.push_back({.config = &each,
                         .after = {},
                         .requires_ = {},
                         .before = {},
                         .backoff = Backoff(PolicyOf(each.restart)),
                         .state = Inactive{},
                         .detail = {},
                         .status = {},
                         .waits_for = {}});
  }
  for (Service& service : services_) {
    for (const std::string& name : service.config->requires_) {
      if (const auto id = Find(name)) {
        service.requires_.push_back(*id);
        service.after.push_back(*id);
      }
    }
    for (const std::string& name : service.config->after) {
      const auto id = Find(name);
      if (id && std::ranges::find(service.after, *id) == service.after.end()) {
        service.after.push_back(*id);
      }
    }
    for (const ServiceId id : service.after) services_[id].before.push_back(IdOf(service));
  }
}

std::vector<ServiceAction> ServiceGraph::Take() { return std::exchange(actions_, {}); }

void ServiceGraph::Say(const Service& service, LogLevel level, std::string text) {
  actions_.push_back(action::Say{IdOf(service), level, service.config->name + ": " + text});
}

bool ServiceGraph::Running(const Service& service) {
  return std::holds_alternative<Starting>(service.state) ||
         std::holds_alternative<Up>(service.state) ||
         std::holds_alternative<Stopping>(service.state);
}

// --- What waits -------------------------------------------------------------------------------

ServiceGraph::Gate ServiceGraph::GateOf(const Service& service) const {
  for (const ServiceId id : service.after) {
    const Service& other = services_[id];
    const std::string& name = other.config->name;
    const bool needed = std::ranges::find(service.requires_, id) != service.requires_.end();
    if (std::holds_alternative<Up>(other.state)) continue;
    // Its sockets take connections already, and that is what those behind it want of it.
    const auto* waiting = std::get_if<Waiting>(&other.state);
    if (waiting != nullptr && waiting->listening) continue;
    if (std::holds_alternative<Failed>(other.state)) {
      if (needed) return {Gate::Kind::kNever, "requires " + name + ", which has failed"};
      continue;
    }
    if (std::holds_alternative<Done>(other.state)) {
      if (needed && !other.config->oneshot) {
        return {Gate::Kind::kNever, "requires " + name + ", which has ended"};
      }
      continue;
    }
    if (std::holds_alternative<Inactive>(other.state)) {
      if (needed) return {Gate::Kind::kShut, "requires " + name + ", which is not started"};
      continue;
    }
    return {Gate::Kind::kShut, (needed ? "requires " : "after ") + name};
  }
  if (service.config->wait_for_configure && !configured_) {
    return {Gate::Kind::kShut, "for the host's part of the configuration"};
  }
  return {Gate::Kind::kOpen, ""};
}

void ServiceGraph::Advance(Time now) {
  if (shutdown_deadline_) return AdvanceShutdown(now, false);
  for (Service& service : services_) {
    auto* waiting = std::get_if<Waiting>(&service.state);
    if (waiting == nullptr || waiting->listening) continue;
    if (!service.config->mistake.empty()) {
      // By nobody's order either: of a section with a mistake, the rest is not to be trusted.
      Fail(service, service.config->mistake, now);
      continue;
    }
    const Gate gate = GateOf(service);
    if (gate.kind == Gate::Kind::kNever) {
      Fail(service, gate.why, now);
      continue;
    }
    if (gate.kind == Gate::Kind::kShut) continue;
    if (service.wanted_ns == 0) {
      int64_t last = 0;
      for (const ServiceId id : service.after) {
        if (services_[id].settled_ns > last) {
          last = services_[id].settled_ns;
          service.waits_for = id;
        }
      }
    }
    if (service.config->on_demand && !service.demanded) {
      waiting->listening = true;
      service.settled_ns = Ns(now);
      actions_.push_back(action::WatchSockets{IdOf(service), true});
      continue;
    }
    Launch(service, now);
  }
}

void ServiceGraph::Launch(Service& service, Time now) {
  if (service.wanted_ns == 0) service.wanted_ns = Ns(now);
  service.detail.clear();
  service.status.clear();
  service.ready_ns = 0;
  service.state = Starting{0, now, now + service.config->ready.timeout, {}};
  actions_.push_back(action::Spawn{IdOf(service)});
}

void ServiceGraph::Want(Service& service) {
  service.backoff.Forgive();
  service.detail.clear();
  service.state = Waiting{};
  // What it requires may be a cycle, which is such a mistake.
  if (!service.config->mistake.empty()) return;
  for (const ServiceId id : service.requires_) {
    Service& other = services_[id];
    const bool down = std::holds_alternative<Inactive>(other.state) ||
                      std::holds_alternative<Failed>(other.state) ||
                      (std::holds_alternative<Done>(other.state) && !other.config->oneshot);
    if (down) Want(other);
  }
}

// --- Events -----------------------------------------------------------------------------------

void ServiceGraph::Begin(Time now) {
  configure_deadline_ = now + config_.configure_timeout;
  for (Service& service : services_) {
    if (service.config->enabled && std::holds_alternative<Inactive>(service.state)) Want(service);
  }
  Advance(now);
}

void ServiceGraph::Started(ServiceId id, pid_t pid, Time now) {
  Service& service = services_[id];
  auto* starting = std::get_if<Starting>(&service.state);
  if (starting == nullptr || starting->pid != 0) return;
  starting->pid = pid;
  by_pid_[pid] = id;
  service.start_ns = Ns(now);
  const ReadyConfig& ready = service.config->ready;
  if (ready.probe) starting->probe.next = now;
  if (!ready.notify && !ready.probe && !service.config->oneshot) BeReady(service, now);
  TimePassedFor(service, now);  // the first probe
  Advance(now);
}

void ServiceGraph::NotStarted(ServiceId id, const Error& why, Time now) {
  Service& service = services_[id];
  if (!std::holds_alternative<Starting>(service.state)) return;
  ++service.ends;
  service.exit_code = why.errnum == ENOENT ? kNotFound : kCannotRun;
  service.exit_signal = 0;
  Lost(service, why.Message(), true, Milliseconds(0), now);
  Advance(now);
}

void ServiceGraph::Ended(ServiceId id, int wait_status, Time now) {
  Service& service = services_[id];
  const pid_t pid = PidOf(id);
  if (pid <= 0) return;
  EndProbeOf(service);
  by_pid_.erase(pid);
  // What it forked must not hold its ports and files when it starts again, or when it is down.
  actions_.push_back(action::KillTree{id, pid});
  ++service.ends;
  service.exit_code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
  service.exit_signal = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
  SetHealth(service, ServiceHealth::kUnknown);
  const std::string how = DescribeWaitStatus(wait_status);
  if (auto* stopping = std::get_if<Stopping>(&service.state)) {
    const Stopping stop = std::exchange(*stopping, {});
    const Then then = shutdown_deadline_ ? Then::kStayDown : stop.then;
    if (then == Then::kCountAsFailure) {
      Lost(service, stop.why, true, Since(stop.since, now), now);
    } else {
      service.detail.clear();
      service.state = Inactive{};
      if (then == Then::kStartAgain) Want(service);
    }
  } else {
    const auto* up = std::get_if<Up>(&service.state);
    const Time since = up != nullptr ? up->since : std::get<Starting>(service.state).since;
    Lost(service, how, service.exit_code != 0, Since(since, now), now);
  }
  Advance(now);
}

bool ServiceGraph::Admits(const Service& service, bool failure) const {
  const RestartConfig& restart = service.config->restart;
  if (restart.when == RestartWhen::kNever) return false;
  if (restart.when == RestartWhen::kOnFailure && !failure) return false;
  return restart.codes.empty() ||
         std::ranges::find(restart.codes, service.exit_code) != restart.codes.end();
}

void ServiceGraph::Lost(Service& service, const std::string& how, bool failure, Milliseconds lived,
                        Time now) {
  if (shutdown_deadline_) {
    service.state = Inactive{};
    return;
  }
  if (service.config->main) return MainEnded(service, how, failure, now);
  if (service.config->oneshot && !failure) {
    service.ready_ns = service.settled_ns = Ns(now);
    if (service.first_ready_ns == 0) service.first_ready_ns = Ns(now);
    service.state = Done{};
    return;
  }
  const bool again = Admits(service, failure);
  const bool to_its_socket = service.config->on_demand && !again;
  service.demanded = false;
  if (!again && !to_its_socket) {
    if (failure) return Fail(service, how, now);
    service.detail = how;
    service.settled_ns = Ns(now);
    service.state = Done{};
    return;
  }
  Milliseconds wait = service.config->restart.first;
  // One that ends by itself when nobody has called for a while does not crash: but it pauses, for
  // it may have left its caller in the queue.
  if (failure || again) {
    wait = service.backoff.Ended(lived, random_());
    if (service.backoff.crash_loop()) {
      Fail(service,
           "crash loop: " + std::to_string(service.backoff.short_lives()) +
               " short lives in a row, the last ended with " + how,
           now);
      if (service.config->restart.shutdown_on_crash_loop) {
        actions_.push_back(action::EndMachine{ShutdownCause::kCrashLoop, IdOf(service)});
      }
      return;
    }
    Say(service, LogLevel::kWarning,
        "ended (" + how + "); " + (again ? "starts again in " : "listens again in ") + Ms(wait));
  }
  service.detail = how;
  service.state = BackingOff{now + wait, again};
  TimePassedFor(service, now);
}

void ServiceGraph::Fail(Service& service, std::string why, Time now) {
  Say(service, LogLevel::kError, "failed: " + why);
  service.detail = std::move(why);
  service.settled_ns = Ns(now);
  service.state = Failed{};
  // A machine whose configuration has a mistake stays up, to be looked at.
  if (service.config->main && service.config->mistake.empty()) {
    service.exit_code = kGaveUp;
    actions_.push_back(action::EndMachine{ShutdownCause::kMain, IdOf(service)});
  }
}

void ServiceGraph::MainEnded(Service& service, const std::string& how, bool failure, Time now) {
  // It may have ended with 0 when it was stopped for what it failed at.
  if (failure && service.exit_code == 0) service.exit_code = kGaveUp;
  Say(service, LogLevel::kInfo, "the main service has ended (" + how + ")");
  service.detail = how;
  service.settled_ns = Ns(now);
  if (service.exit_code == 0) {
    service.state = Done{};
  } else {
    service.state = Failed{};
  }
  actions_.push_back(action::EndMachine{ShutdownCause::kMain, IdOf(service)});
}

void ServiceGraph::BeReady(Service& service, Time now) {
  const auto* starting = std::get_if<Starting>(&service.state);
  if (starting == nullptr) return;
  EndProbeOf(service);
  Up up{starting->pid, starting->since, {}};
  if (service.config->health) {
    up.probe.next = now + service.config->health->interval;
    service.failures_in_row = service.successes_in_row = 0;
  }
  service.state = up;
  service.detail.clear();
  service.ready_ns = service.settled_ns = Ns(now);
  if (service.first_ready_ns == 0) service.first_ready_ns = Ns(now);
}

void ServiceGraph::NotifiedReady(ServiceId id, Time now) {
  Service& service = services_[id];
  if (!service.config->ready.notify || service.config->oneshot) return;
  BeReady(service, now);
  Advance(now);
}

void ServiceGraph::NotifiedStatus(ServiceId id, std::string_view text) {
  services_[id].status = text.substr(0, kMaxStatusChars);
}

void ServiceGraph::Probed(ServiceId id, bool passed, std::string_view why, Time now) {
  Service& service = services_[id];
  if (auto* starting = std::get_if<Starting>(&service.state)) {
    starting->probe.under_way = false;
    if (passed && !service.config->oneshot) {
      BeReady(service, now);
    } else {
      service.detail = "not ready yet: " + std::string(why);
      starting->probe.next = now + service.config->ready.interval;
    }
  } else if (std::holds_alternative<Up>(service.state)) {
    HealthProbed(service, passed, why, now);
  }
  Advance(now);
}

void ServiceGraph::SetHealth(Service& service, ServiceHealth health) {
  if (std::exchange(service.health, health) != health) ++health_changes_;
}

void ServiceGraph::HealthProbed(Service& service, bool passed, std::string_view why, Time now) {
  if (!service.config->health) return;
  Up& up = std::get<Up>(service.state);
  const HealthConfig& health = *service.config->health;
  up.probe.under_way = false;
  up.probe.next = now + health.interval;
  if (passed) {
    service.failures_in_row = 0;
    if (++service.successes_in_row < health.healthy_after) return;
    if (service.health == ServiceHealth::kUnhealthy) {
      Say(service, LogLevel::kInfo, "healthy again");
      service.detail.clear();
    }
    SetHealth(service, ServiceHealth::kHealthy);
    return;
  }
  service.successes_in_row = 0;
  if (now < up.since + health.start_period) return;
  if (++service.failures_in_row < health.unhealthy_after) return;
  const bool news = service.health != ServiceHealth::kUnhealthy;
  SetHealth(service, ServiceHealth::kUnhealthy);
  service.detail = "unhealthy: " + std::string(why);
  if (news) Say(service, LogLevel::kWarning, service.detail);
  if (health.restart_unhealthy) {
    BeginStop(service, now, now + service.config->stop_timeout, Then::kCountAsFailure,
              service.detail);
  }
}

void ServiceGraph::Connected(ServiceId id, Time now) {
  Service& service = services_[id];
  const auto* waiting = std::get_if<Waiting>(&service.state);
  if (waiting == nullptr || !waiting->listening) return;
  actions_.push_back(action::WatchSockets{id, false});
  Launch(service, now);
}

void ServiceGraph::Configured(Time now) {
  for (Service& service : services_) {
    if (service.config->wait_for_configure) {
      service.backoff = Backoff(PolicyOf(service.config->restart));
    }
  }
  configured_ = true;
  configure_deadline_.reset();
  Advance(now);
}

void ServiceGraph::EndProbeOf(Service& service) {
  ProbeClock* probe = nullptr;
  if (auto* starting = std::get_if<Starting>(&service.state)) probe = &starting->probe;
  if (auto* up = std::get_if<Up>(&service.state)) probe = &up->probe;
  if (probe == nullptr) return;
  if (probe->under_way) actions_.push_back(action::EndProbe{IdOf(service)});
  *probe = {};
}

// --- Time -------------------------------------------------------------------------------------

void ServiceGraph::TimePassed(Time now) {
  if (configure_deadline_ && now >= *configure_deadline_) {
    for (const Service& service : services_) {
      if (service.config->wait_for_configure && std::holds_alternative<Waiting>(service.state)) {
        Say(service, LogLevel::kWarning,
            "starts without the host's part of the configuration, which did not come within " +
                Ms(config_.configure_timeout));
        configured_late_ = true;
      }
    }
    configured_ = true;
    configure_deadline_.reset();
  }
  for (Service& service : services_) TimePassedFor(service, now);
  Advance(now);
}

void ServiceGraph::TimePassedFor(Service& service, Time now) {
  const auto probe_due = [&](ProbeClock& clock, const Probe& probe, Milliseconds timeout) {
    if (!clock.next || now < *clock.next || clock.under_way) return;
    clock.next.reset();
    clock.under_way = true;
    actions_.push_back(action::StartProbe{IdOf(service), &probe, timeout});
  };
  if (const auto* backing_off = std::get_if<BackingOff>(&service.state)) {
    if (now < backing_off->until) return;
    if (backing_off->then_start) {
      ++service.restarts;
      Launch(service, now);
    } else {
      service.state = Waiting{};
    }
  } else if (auto* starting = std::get_if<Starting>(&service.state)) {
    if (starting->pid != 0 && now >= starting->deadline) {
      BeginStop(service, now, now + service.config->stop_timeout, Then::kCountAsFailure,
                "not ready after " + Ms(service.config->ready.timeout));
    } else if (service.config->ready.probe) {
      probe_due(starting->probe, *service.config->ready.probe,
                std::min(kReadyProbeTimeout, service.config->ready.timeout));
    }
  } else if (auto* up = std::get_if<Up>(&service.state)) {
    if (service.config->health) {
      probe_due(up->probe, service.config->health->probe, service.config->health->timeout);
    }
  } else if (auto* stopping = std::get_if<Stopping>(&service.state)) {
    if (!stopping->killed && now >= stopping->kill_at) Kill(service, *stopping);
  }
}

std::optional<Time> ServiceGraph::next_deadline() const {
  std::optional<Time> next = configure_deadline_;
  const auto consider = [&next](std::optional<Time> time) {
    if (time && (!next || *time < *next)) next = time;
  };
  for (const Service& service : services_) {
    if (const auto* backing_off = std::get_if<BackingOff>(&service.state)) {
      consider(backing_off->until);
    } else if (const auto* starting = std::get_if<Starting>(&service.state)) {
      consider(starting->deadline);
      consider(starting->probe.next);
    } else if (const auto* up = std::get_if<Up>(&service.state)) {
      consider(up->probe.next);
    } else if (const auto* stopping = std::get_if<Stopping>(&service.state)) {
      if (!stopping->killed) consider(stopping->kill_at);
    }
  }
  return next;
}

}  // namespace berth::init
