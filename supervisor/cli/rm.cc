// SPDX-License-Identifier: Apache-2.0
//
// berth rm VM…: forgets VMs that are not up and removes their directories.
#include <fmt/format.h>

#include "supervisor/cli/vm_call.h"

namespace berth::cli {

void AddRm(CLI::App& app, Shared& shared) {
  struct Options {
    std::vector<std::string> names;
    bool force = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command =
      AddCommand(app, shared, "rm", "remove VMs that are not up", [&shared, options] {
        const json params = {{"force", options->force}};
        return ForEach(options->names, [&](const std::string& name) {
          return CallVm(shared, "rm", "compute.vm.remove", name, params,
                        [&](const json&) { return name; });
        });
      });
  command->add_option("VM", options->names, "one or more")->required();
  command->add_flag("-f,--force", options->force, "kill them first where they are up");
}

}  // namespace berth::cli
