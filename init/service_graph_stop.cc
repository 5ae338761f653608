// SPDX-License-Identifier: Apache-2.0
//
// The part of ServiceGraph that people and the shutdown use: orders, stopping, and what is shown.
#include <signal.h>
#include <string.h>

#include <algorithm>
#include <string>
#include <utility>

#include "init/service_graph.h"

namespace berth::init {
namespace {

template <size_t N>
void CopyText(char (&to)[N], std::string_view from) {
  const size_t length = std::min(from.size(), N - 1);
  memcpy(to, from.data(), length);
  to[length] = '\0';
}

}  // namespace

std::optional<ServiceId> ServiceGraph::Find(std::string_view name) const {
  for (const Service& service : services_) {
    if (service.config->name == name) return IdOf(service);
  }
  return std::nullopt;
}

std::optional<ServiceId> ServiceGraph::OfPid(pid_t pid) const {
  const auto found = by_pid_.find(pid);
  if (found == by_pid_.end()) return std::nullopt;
  return found->second;
}

pid_t ServiceGraph::PidOf(ServiceId id) const {
  const auto& state = services_[id].state;
  if (const auto* starting = std::get_if<Starting>(&state)) return starting->pid;
  if (const auto* up = std::get_if<Up>(&state)) return up->pid;
  if (const auto* stopping = std::get_if<Stopping>(&state)) return stopping->pid;
  return 0;
}

// --- Stopping ---------------------------------------------------------------------------------

void ServiceGraph::BeginStop(Service& service, Time now, Time kill_at, Then then, std::string why) {
  const pid_t pid = PidOf(IdOf(service));
  Time since = now;
  if (const auto* starting = std::get_if<Starting>(&service.state)) since = starting->since;
  if (const auto* up = std::get_if<Up>(&service.state)) since = up->since;
  EndProbeOf(service);
  service.state = Stopping{pid, since, kill_at, false, then, std::move(why)};
  actions_.push_back(action::Signal{IdOf(service), pid, service.config->stop_signal});
  // A stopped process would hold its signal until the deadline.
  if (service.config->stop_signal != SIGKILL) {
    actions_.push_back(action::Signal{IdOf(service), pid, SIGCONT});
  }
}

void ServiceGraph::Kill(Service& service, Stopping& stopping) {
  stopping.killed = true;
  Say(service, LogLevel::kWarning, "did not end in time after its stop signal; killed");
  actions_.push_back(action::KillTree{IdOf(service), stopping.pid});
}

void ServiceGraph::StopByOrder(Service& service, Time now) {
  service.demanded = false;
  if (auto* stopping = std::get_if<Stopping>(&service.state)) {
    stopping->then = Then::kStayDown;
    return;
  }
  if (Running(service)) {
    return BeginStop(service, now, now + service.config->stop_timeout, Then::kStayDown, "");
  }
  if (const auto* waiting = std::get_if<Waiting>(&service.state);
      waiting != nullptr && waiting->listening) {
    actions_.push_back(action::WatchSockets{IdOf(service), false});
  }
  service.detail.clear();
  service.state = Inactive{};
}

void ServiceGraph::BeginShutdown(Time deadline, Time now) {
  const bool first = !shutdown_deadline_;
  shutdown_deadline_ = first ? deadline : std::min(*shutdown_deadline_, deadline);
  configure_deadline_.reset();
  if (first) {
    for (Service& service : services_) {
      if (!Running(service) && !std::holds_alternative<Done>(service.state) &&
          !std::holds_alternative<Failed>(service.state)) {
        StopByOrder(service, now);
      }
    }
  }
  AdvanceShutdown(now, true);
}

void ServiceGraph::AdvanceShutdown(Time now, bool deadline_moved) {
  // How many services stand one behind the other from each one down. They share the time that is
  // left: one that does not end must not leave the database behind it nothing but SIGKILL.
  std::vector<int> depth(services_.size(), 0);
  for (const Service& service : services_) {
    int below = 0;
    for (const ServiceId id : service.after) below = std::max(below, depth[id]);
    depth[IdOf(service)] = below + (Running(service) ? 1 : 0);
  }
  const auto left = std::max(*shutdown_deadline_ - now, Time::duration::zero());
  for (auto service = services_.rbegin(); service != services_.rend(); ++service) {
    if (!Running(*service)) continue;
    const Time share = now + left / depth[IdOf(*service)];
    if (auto* stopping = std::get_if<Stopping>(&service->state)) {
      if (deadline_moved) stopping->kill_at = std::min(stopping->kill_at, share);
      stopping->then = Then::kStayDown;
      continue;
    }
    const bool needed = std::ranges::any_of(
        service->before, [this](ServiceId id) { return Running(services_[id]); });
    if (needed) continue;
    BeginStop(*service, now, std::min(now + service->config->stop_timeout, share), Then::kStayDown,
              "");
  }
}

// --- Orders -----------------------------------------------------------------------------------

Result<ServiceOrder> ServiceGraph::Order(ServiceVerb verb, ServiceId id, Time now) {
  Service& service = services_[id];
  const std::string& name = service.config->name;
  if (shutdown_deadline_) return berth::Fail("order", EBUSY, "the machine is shutting down");
  ServiceOrder order{verb, id, service.ends};
  switch (verb) {
    case ServiceVerb::kStart:
      if (auto* stopping = std::get_if<Stopping>(&service.state)) {
        stopping->then = Then::kStartAgain;
        service.demanded = true;
        ++order.ends;  // the one under way
      } else if (!Running(service)) {
        const auto* waiting = std::get_if<Waiting>(&service.state);
        if (waiting != nullptr && waiting->listening) {
          actions_.push_back(action::WatchSockets{id, false});
        }
        service.demanded = true;
        Want(service);
      }
      break;
    case ServiceVerb::kStop:
      StopByOrder(service, now);
      break;
    case ServiceVerb::kRestart:
      if (!Running(service)) return Order(ServiceVerb::kStart, id, now);
      if (auto* stopping = std::get_if<Stopping>(&service.state)) {
        stopping->then = Then::kStartAgain;
      } else {
        BeginStop(service, now, now + service.config->stop_timeout, Then::kStartAgain, "");
      }
      service.demanded = true;
      ++order.ends;
      break;
    case ServiceVerb::kReload:
      if (!std::holds_alternative<Up>(service.state)) {
        return berth::Fail("reload", ESRCH, name + " is not ready", "start it first");
      }
      actions_.push_back(action::Signal{id, PidOf(id), service.config->reload_signal});
      break;
    default:
      return berth::Fail("order", EINVAL, "no order about a service");
  }
  Advance(now);
  return order;
}

std::optional<Result<>> ServiceGraph::Outcome(const ServiceOrder& order) const {
  const Service& service = services_[order.id];
  const std::string& name = service.config->name;
  if (order.verb == ServiceVerb::kReload) return Result<>();
  if (order.verb == ServiceVerb::kStop) {
    if (Running(service)) return std::nullopt;
    return Result<>();
  }
  if (std::holds_alternative<Up>(service.state)) return Result<>();
  if (std::holds_alternative<Done>(service.state) && service.config->oneshot) return Result<>();
  if (std::holds_alternative<Failed>(service.state) ||
      std::holds_alternative<Done>(service.state)) {
    return berth::Fail("start", 0, name + " has ended: " + service.detail);
  }
  if (std::holds_alternative<Inactive>(service.state)) {
    return berth::Fail("start", ECANCELED, name + " was stopped meanwhile");
  }
  // Whoever asked wants to hear of the first failure, though it is tried again.
  if (service.ends > order.ends && !std::holds_alternative<Stopping>(service.state)) {
    return berth::Fail("start", 0, name + " has ended: " + service.detail, "it is started again");
  }
  return std::nullopt;
}

// --- What is shown ----------------------------------------------------------------------------

ServiceRow ServiceGraph::Row(ServiceId id) const {
  const Service& service = services_[id];
  ServiceRow row;
  CopyText(row.name, service.config->name);
  row.pid = PidOf(id);
  std::string detail = service.detail;
  if (const auto* waiting = std::get_if<Waiting>(&service.state)) {
    row.state = ServiceState::kWaiting;
    detail = waiting->listening ? "for the first connection" : GateOf(service).why;
  } else if (const auto* backing_off = std::get_if<BackingOff>(&service.state)) {
    row.state = ServiceState::kBackoff;
    row.restart_ns = std::chrono::nanoseconds(backing_off->until.time_since_epoch()).count();
  } else if (std::holds_alternative<Starting>(service.state)) {
    row.state = ServiceState::kStarting;
    if (!service.status.empty()) detail = service.status;
  } else if (std::holds_alternative<Up>(service.state)) {
    row.state = ServiceState::kReady;
    if (detail.empty()) detail = service.status;
  } else if (const auto* stopping = std::get_if<Stopping>(&service.state)) {
    row.state = ServiceState::kStopping;
    detail = stopping->killed ? "killed" : stopping->why;
  } else if (std::holds_alternative<Done>(service.state)) {
    row.state = ServiceState::kDone;
  } else if (std::holds_alternative<Failed>(service.state)) {
    row.state = ServiceState::kFailed;
  }
  row.health = service.health;
  row.restarts = service.restarts;
  row.exit_code = service.exit_code;
  row.exit_signal = service.exit_signal;
  row.main = service.config->main ? 1 : 0;
  row.oneshot = service.config->oneshot ? 1 : 0;
  row.wanted_ns = service.wanted_ns;
  row.start_ns = service.start_ns;
  row.ready_ns = service.ready_ns;
  row.first_ready_ns = service.first_ready_ns;
  if (service.waits_for) CopyText(row.waits_for, services_[*service.waits_for].config->name);
  CopyText(row.detail, detail);
  return row;
}

}  // namespace berth::init
