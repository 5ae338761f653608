// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/render_vm.h"

#include "protocol/base/clock.h"
#include "supervisor/daemon/render_health.h"

namespace berth::daemon {

using lifecycle::Name;
using nlohmann::json;

namespace {

json FaultJson(const lifecycle::Fault& fault) {
  return {{"step", fault.step},
          {"errno", fault.errnum},
          {"errno_name", fault.errnum != 0 ? ErrnoName(fault.errnum) : ""},
          {"detail", fault.detail},
          {"hint", fault.hint},
          {"message", fault.Message()}};
}

json TransitionJson(const lifecycle::Transition& transition) {
  return {{"from", Name(transition.from)},
          {"event", Name(transition.event)},
          {"to", Name(transition.to)},
          {"why", transition.why},
          {"seq", transition.seq},
          {"realtime_ns", transition.realtime_ns},
          {"monotonic_ns", transition.monotonic_ns}};
}

json InstanceJson(const lifecycle::Instance& instance) {
  const lifecycle::Instance::View& view = instance.view();
  json out = {{"accelerator", instance.Accelerator()},
              {"paused", view.paused},
              {"vsock_restarts", view.vsock_restarts},
              {"agent", {{"state", Name(view.agent)}, {"why", view.agent_why}}}};
  if (!view.health.rows.empty()) out["health"] = HealthJson(view.health);
  if (view.clock) out["clock"] = ClockJson(*view.clock);
  if (!view.vsock_lost.empty()) out["vsock_lost"] = view.vsock_lost;
  if (view.ready) {
    json& agent = out["agent"];
    agent["build_id"] = view.ready->build_id;
    agent["generation"] = view.ready->generation;
    agent["starts"] = view.ready->agent_starts;
    agent["boot_id"] = view.ready->boot_id;
    agent["instance_id"] = view.ready->instance_id;
    out["kernel_release"] = view.ready->kernel_release;
  }
  return out;
}

json GuestExitJson(const lifecycle::GuestExit& exit) {
  using enum lifecycle::GuestExit::Cause;
  json out = {{"mode", Name(exit.mode)}, {"cause", Name(exit.cause)}};
  if (exit.cause == kMain || exit.cause == kCrashLoop) out["service"] = exit.name;
  if (exit.cause == kSignal) out["by"] = exit.name;
  if (exit.code) out["code"] = *exit.code;
  if (exit.signal) out["signal"] = *exit.signal;
  return out;
}

std::string Why(const lifecycle::Vm& vm) { return vm.ring().empty() ? "" : vm.ring().back().why; }

int64_t Since(const lifecycle::Vm& vm) {
  return vm.ring().empty() ? vm.created_realtime_ns() : vm.ring().back().realtime_ns;
}

}  // namespace

json VmSummaryJson(const lifecycle::Vm& vm) {
  json out = {{"name", vm.name()},
              {"state", Name(vm.state())},
              {"why", Why(vm)},
              {"since_realtime_ns", Since(vm)},
              {"image", vm.spec().image},
              {"vcpus", vm.spec().vcpus},
              {"memory_mib", vm.spec().memory_mib},
              {"paused", false},
              {"agent", ""},
              {"health", "-"}};
  if (const auto instance = vm.instance()) {
    out["paused"] = instance->view().paused;
    out["agent"] = Name(instance->view().agent);
    out["health"] = HealthWord(instance->view());
    if (const auto& launched = instance->view().launched) {
      out["shim_pid"] = launched->shim_pid;
      out["hypervisor_pid"] = launched->hypervisor_pid;
      out["vsock_pid"] = launched->vsock_pid;
    }
  }
  return out;
}

json GuestExitOf(const lifecycle::Vm& vm) {
  const std::optional<lifecycle::GuestExit>* told = nullptr;
  if (const auto* failed = std::get_if<lifecycle::Failed>(&vm.body())) told = &failed->guest_exit;
  if (const auto* stopped = std::get_if<lifecycle::Stopped>(&vm.body()))
    told = &stopped->guest_exit;
  return told != nullptr && *told ? GuestExitJson(**told) : json();
}

json VmJson(const lifecycle::Vm& vm) {
  json out = VmSummaryJson(vm);
  out["spec"] = ToJson(vm.spec());
  out["created_realtime_ns"] = vm.created_realtime_ns();
  if (const auto instance = vm.instance()) out["instance"] = InstanceJson(*instance);
  out["boot_attempts"] = vm.boot_attempts;
  out["accelerator"] = vm.accelerator;
  if (!vm.timeline.empty()) {
    json& phases = out["boot"]["phases"] = json::array();
    for (const lifecycle::Milestone& each : vm.timeline) {
      phases.push_back({{"name", each.name}, {"ms", each.ms}, {"guest_clock", each.guest}});
    }
  }
  if (const auto* failed = std::get_if<lifecycle::Failed>(&vm.body())) {
    out["failure"] = FaultJson(failed->why);
    if (failed->exit) out["exit"] = shim::ToJson(*failed->exit);
  } else if (const auto* start_failed = std::get_if<lifecycle::StartFailed>(&vm.body())) {
    out["failure"] = FaultJson(start_failed->why);
  } else if (const auto* stopped = std::get_if<lifecycle::Stopped>(&vm.body())) {
    if (stopped->exit) out["exit"] = shim::ToJson(*stopped->exit);
  }
  if (json told = GuestExitOf(vm); !told.is_null()) out["guest_exit"] = std::move(told);
  json& transitions = out["transitions"] = json::array();
  for (const lifecycle::Transition& each : vm.ring()) transitions.push_back(TransitionJson(each));
  return out;
}

json EntryJson(const lifecycle::Entry& entry) {
  json out = {
      {"seq", entry.seq}, {"realtime_ns", entry.realtime_ns}, {"monotonic_ns", entry.monotonic_ns},
      {"vm", entry.vm},   {"kind", Name(entry.kind)},         {"why", entry.why}};
  if (entry.count) out["count"] = *entry.count;
  if (entry.transition) {
    out["from"] = Name(entry.transition->from);
    out["event"] = Name(entry.transition->event);
    out["to"] = Name(entry.transition->to);
  }
  return out;
}

}  // namespace berth::daemon
