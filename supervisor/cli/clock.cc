// SPDX-License-Identifier: Apache-2.0
//
// berth clock VM [--set]: how far a guest's clock is off the host's.
#include "supervisor/cli/health_view.h"
#include "supervisor/cli/vm_call.h"

namespace berth::cli {

void AddClock(CLI::App& app, Shared& shared) {
  struct ClockOptions {
    std::string vm;
    bool set = false;
  };
  auto options = std::make_shared<ClockOptions>();
  CLI::App* command =
      AddCommand(app, shared, "clock", "how far a guest's clock is off", [&shared, options] {
        return CallVm(shared, "clock", "compute.vm.clock", options->vm, {{"set", options->set}},
                      [](const json& clock) { return RenderClock(clock); });
      });
  command->add_option("VM", options->vm, "the VM")->required();
  command->add_flag("--set", options->set, "set it to the host's");
}

}  // namespace berth::cli
