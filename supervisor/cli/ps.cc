// SPDX-License-Identifier: Apache-2.0
//
// berth ps: the VMs there are.
#include <fmt/format.h>

#include "supervisor/cli/command.h"
#include "supervisor/cli/table.h"

namespace berth::cli {
namespace {

std::string RenderList(const json& vms) {
  Table table({"NAME", "STATE", "HEALTH", "AGENT", "PID", "CPUS", "MEMORY", "SINCE", "WHY"});
  for (const json& vm : vms) {
    const std::string state =
        vm.value("state", "") + (vm.value("paused", false) ? " (paused)" : "");
    table.Add({vm.value("name", ""), state, vm.value("health", "-"), vm.value("agent", ""),
               vm.contains("hypervisor_pid") ? std::to_string(vm.value("hypervisor_pid", 0)) : "",
               std::to_string(vm.value("vcpus", 0)),
               fmt::format("{} MiB", vm.value("memory_mib", 0)),
               Ago(vm.value("since_realtime_ns", int64_t{0}), RealtimeNs()),
               OneLine(vm.value("why", ""))});
  }
  return table.Render(TerminalWidth());
}

}  // namespace

void AddPs(CLI::App& app, Shared& shared) {
  AddCommand(app, shared, "ps", "list VMs", [&shared] {
    auto client = shared.Connect();
    if (!client) return Report("ps", client.error());
    auto vms = client->Call("compute.vm.list", json::object(), Deadline::In(kQuickCall));
    if (!vms) return Report("ps", vms.error());
    if (shared.json) {
      fmt::print("{}\n", vms->dump(2));
    } else if (shared.quiet) {
      for (const json& vm : *vms) fmt::print("{}\n", vm.value("name", ""));
    } else {
      fmt::print("{}", RenderList(*vms));
    }
    return 0;
  });
}

}  // namespace berth::cli
