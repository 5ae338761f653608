// SPDX-License-Identifier: Apache-2.0
//
// berth start VM…: start VMs and wait until they are Running.
#include <fmt/format.h>

#include "supervisor/cli/vm_call.h"

namespace berth::cli {

void AddStart(CLI::App& app, Shared& shared) {
  auto names = std::make_shared<std::vector<std::string>>();
  CLI::App* command = AddCommand(
      app, shared, "start", "start VMs and wait until they are Running", [&shared, names] {
        return ForEach(*names, [&](const std::string& name) {
          return CallVm(
              shared, "start", "compute.vm.start", name, json::object(), [&](const json& vm) {
                const json phases = vm.value("boot", json::object()).value("phases", json::array());
                const double ms = phases.empty() ? 0.0 : phases.back().value("ms", 0.0);
                return fmt::format("{} is Running: the guest was ready after {:.0f} ms", name, ms);
              });
        });
      });
  command->add_option("VM", *names, "one or more")->required();
}

}  // namespace berth::cli
