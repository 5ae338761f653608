// SPDX-License-Identifier: Apache-2.0
//
// berth boot VM: where the time of its last boot went.
#include <fmt/format.h>

#include "supervisor/cli/command.h"
#include "supervisor/cli/table.h"

namespace berth::cli {
namespace {

std::string RenderBoot(const json& phases) {
  Table table({"AT", "TOOK", "WHAT"});
  for (size_t i = 0; i < phases.size(); ++i) {
    const double ms = phases[i].value("ms", 0.0);
    const double next = i + 1 < phases.size() ? phases[i + 1].value("ms", 0.0) : ms;
    table.Add({fmt::format("{:7.1f} ms", ms),
               i + 1 < phases.size() ? fmt::format("{:6.1f}", next - ms) : "",
               OneLine(phases[i].value("name", ""))});
  }
  return table.Render(TerminalWidth());
}

}  // namespace

void AddBoot(CLI::App& app, Shared& shared) {
  auto name = std::make_shared<std::string>();
  CLI::App* command =
      AddCommand(app, shared, "boot", "where the time of a VM's last boot went", [&shared, name] {
        const std::string what = "boot " + *name;
        auto client = shared.Connect();
        if (!client) return Report(what, client.error());
        auto vm = client->Call("compute.vm.status", {{"name", *name}}, Deadline::In(kQuickCall));
        if (!vm) return Report(what, vm.error());
        if (!vm->contains("boot")) {
          return Report(what,
                        {4, *name + " is " + vm->value("state", "") + " and has not come up yet"});
        }
        json boot = (*vm)["boot"];
        if (shared.json) {
          boot["name"] = *name;
          boot["attempts"] = vm->value("boot_attempts", 0);
          boot["accelerator"] = vm->value("accelerator", "");
          fmt::print("{}\n", boot.dump(2));
        } else {
          fmt::print("{}", RenderBoot(boot["phases"]));
        }
        return 0;
      });
  command->add_option("VM", *name, "the VM")->required();
}

}  // namespace berth::cli
