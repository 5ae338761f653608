// SPDX-License-Identifier: Apache-2.0
//
// berth stop VM…: asks guests to power off, then ends what is left.
#include <fmt/format.h>

#include "supervisor/cli/vm_call.h"

namespace berth::cli {

void AddStop(CLI::App& app, Shared& shared) {
  struct Options {
    std::vector<std::string> names;
    std::optional<uint64_t> timeout_ms;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = AddCommand(
      app, shared, "stop", "stop VMs in order, by force where that takes too long",
      [&shared, options] {
        json params = json::object();
        if (options->timeout_ms) params["timeout_ms"] = *options->timeout_ms;
        return ForEach(options->names, [&](const std::string& name) {
          return CallVm(shared, "stop", "compute.vm.stop", name, params, [&](const json& vm) {
            return fmt::format("{} is {}: {}", name, vm.value("state", ""), vm.value("why", ""));
          });
        });
      });
  command->add_option("VM", options->names, "one or more")->required();
  AddDuration(command, "--timeout", options->timeout_ms,
              "for the guest to power off; default: as the VM's spec says");
}

}  // namespace berth::cli
