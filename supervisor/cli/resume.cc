// SPDX-License-Identifier: Apache-2.0
//
// berth resume VM…: let paused VMs go on.
#include <fmt/format.h>

#include "supervisor/cli/vm_call.h"

namespace berth::cli {

void AddResume(CLI::App& app, Shared& shared) {
  auto names = std::make_shared<std::vector<std::string>>();
  CLI::App* command = AddCommand(app, shared, "resume", "let paused VMs go on", [&shared, names] {
    return ForEach(*names, [&](const std::string& name) {
      return CallVm(
          shared, "resume", "compute.vm.resume", name, json::object(),
          [&](const json& vm) { return fmt::format("{} is {}", name, vm.value("state", "")); });
    });
  });
  command->add_option("VM", *names, "one or more")->required();
}

}  // namespace berth::cli
