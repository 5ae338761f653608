// SPDX-License-Identifier: Apache-2.0
//
// berth pause VM…: hold VMs still.
#include <fmt/format.h>

#include "supervisor/cli/vm_call.h"

namespace berth::cli {

void AddPause(CLI::App& app, Shared& shared) {
  auto names = std::make_shared<std::vector<std::string>>();
  CLI::App* command = AddCommand(app, shared, "pause", "hold VMs still", [&shared, names] {
    return ForEach(*names, [&](const std::string& name) {
      return CallVm(shared, "pause", "compute.vm.pause", name, json::object(), [&](const json& vm) {
        return fmt::format("{} is {} and paused", name, vm.value("state", ""));
      });
    });
  });
  command->add_option("VM", *names, "one or more")->required();
}

}  // namespace berth::cli
