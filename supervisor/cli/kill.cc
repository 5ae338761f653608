// SPDX-License-Identifier: Apache-2.0
//
// berth kill VM…: end VMs at once, without asking their guests.
#include <fmt/format.h>

#include "supervisor/cli/vm_call.h"

namespace berth::cli {

void AddKill(CLI::App& app, Shared& shared) {
  auto names = std::make_shared<std::vector<std::string>>();
  CLI::App* command = AddCommand(
      app, shared, "kill", "end VMs at once, without asking their guests", [&shared, names] {
        return ForEach(*names, [&](const std::string& name) {
          return CallVm(
              shared, "kill", "compute.vm.kill", name, json::object(),
              [&](const json& vm) { return fmt::format("{} is {}", name, vm.value("state", "")); });
        });
      });
  command->add_option("VM", *names, "one or more")->required();
}

}  // namespace berth::cli
