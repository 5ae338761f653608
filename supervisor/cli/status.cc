// SPDX-License-Identifier: Apache-2.0
//
// berth status VM: all about one VM.
#include <fmt/format.h>

#include "supervisor/cli/command.h"
#include "supervisor/cli/table.h"

namespace berth::cli {
namespace {

void Line(std::string& out, std::string_view name, const std::string& value) {
  if (!value.empty()) out += fmt::format("{:<12}{}\n", name, OneLine(value));
}

std::string Processes(const json& vm) {
  if (!vm.contains("hypervisor_pid")) return {};
  return fmt::format("hypervisor {}, vsock device {}, shim {}", vm.value("hypervisor_pid", 0),
                     vm.value("vsock_pid", 0), vm.value("shim_pid", 0));
}

std::string Agent(const json& instance) {
  const json agent = instance.value("agent", json::object());
  std::string text = agent.value("state", "");
  if (agent.contains("build_id")) {
    text += fmt::format(", build {}, protocol generation {}, start {}", agent.value("build_id", ""),
                        agent.value("generation", uint64_t{0}), agent.value("starts", uint64_t{0}));
  }
  if (const std::string why = agent.value("why", ""); !why.empty()) text += ": " + why;
  return text;
}

std::string Exit(const json& exit) {
  std::string text = exit.value("reason", "");
  if (exit.contains("signal") && !exit["signal"].is_null()) {
    text += fmt::format(", signal {}", exit.value("signal", 0));
  } else if (exit.contains("code") && !exit["code"].is_null()) {
    text += fmt::format(", code {}", exit.value("code", 0));
  }
  return text;
}

// "main: web, code 3": by the guest's word.
std::string GuestExit(const json& exit) {
  std::string text = exit.value("cause", "");
  for (const char* who : {"service", "by"}) {
    if (exit.contains(who)) text += ": " + exit.value(who, "");
  }
  for (const char* how : {"code", "signal"}) {
    if (exit.contains(how)) text += fmt::format(", {} {}", how, exit.value(how, 0));
  }
  return text;
}

std::string RenderStatus(const json& vm) {
  const json spec = vm.value("spec", json::object());
  std::string out;
  Line(out, "name", vm.value("name", ""));
  Line(out, "state", vm.value("state", "") + (vm.value("paused", false) ? " (paused)" : ""));
  Line(out, "why", vm.value("why", ""));
  Line(out, "since",
       ClockTime(vm.value("since_realtime_ns", int64_t{0})) + " (" +
           Ago(vm.value("since_realtime_ns", int64_t{0}), RealtimeNs()) + " ago)");
  Line(out, "image", vm.value("image", ""));
  Line(out, "kernel", spec.value("kernel", ""));
  Line(out, "machine",
       fmt::format("{}, {} vCPU, {} MiB", spec.value("machine", ""), vm.value("vcpus", 0),
                   vm.value("memory_mib", 0)));
  Line(out, "accelerator", vm.value("accelerator", ""));
  if (vm.contains("instance")) {
    const json& instance = vm["instance"];
    Line(out, "processes", Processes(vm));
    Line(
        out, "guest",
        instance.contains("kernel_release") ? "Linux " + instance.value("kernel_release", "") : "");
    Line(out, "agent", Agent(instance));
    Line(out, "health", vm.value("health", ""));
    if (instance.value("vsock_restarts", 0) > 0) {
      Line(out, "vsock", fmt::format("restarted {} times", instance.value("vsock_restarts", 0)));
    }
    Line(out, "vsock lost", instance.value("vsock_lost", ""));
  }
  if (vm.contains("guest_exit")) Line(out, "guest exit", GuestExit(vm["guest_exit"]));
  if (vm.contains("exit")) Line(out, "exit", Exit(vm["exit"]));
  if (vm.contains("failure")) Line(out, "failure", vm["failure"].value("message", ""));
  return out;
}

std::string RenderTransitions(const json& transitions) {
  Table table({"TIME", "FROM", "EVENT", "TO", "WHY"});
  for (const json& each : transitions) {
    table.Add({ClockTime(each.value("realtime_ns", int64_t{0})), each.value("from", ""),
               each.value("event", ""), each.value("to", ""), OneLine(each.value("why", ""))});
  }
  return table.Render(TerminalWidth());
}

}  // namespace

void AddStatus(CLI::App& app, Shared& shared) {
  struct Options {
    std::string name;
    bool transitions = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = AddCommand(app, shared, "status", "all about one VM", [&shared, options] {
    const std::string what = "status " + options->name;
    auto client = shared.Connect();
    if (!client) return Report(what, client.error());
    auto vm =
        client->Call("compute.vm.status", {{"name", options->name}}, Deadline::In(kQuickCall));
    if (!vm) return Report(what, vm.error());
    if (shared.json) {
      fmt::print("{}\n", vm->dump(2));
    } else if (shared.quiet) {
      fmt::print("{}\n", vm->value("state", ""));
    } else {
      fmt::print("{}", RenderStatus(*vm));
      if (options->transitions) {
        fmt::print("\n{}", RenderTransitions(vm->value("transitions", json::array())));
      }
    }
    return 0;
  });
  command->add_option("VM", options->name, "the VM")->required();
  command->add_flag("--transitions", options->transitions, "with its last transitions");
}

}  // namespace berth::cli
