// SPDX-License-Identifier: Apache-2.0
//
// berth freeze VM, berth thaw VM: hold a guest's writes to its disks, and let them go on.
#include <fmt/format.h>

#include "supervisor/cli/table.h"
#include "supervisor/cli/vm_call.h"

namespace berth::cli {
namespace {

std::string RenderFrozen(const json& answer) {
  Table table({"MOUNT", "TYPE", "STATE"});
  for (const json& mount : answer.value("mounts", json::array())) {
    const std::string why = OneLine(mount.value("why", ""));
    table.Add({OneLine(mount.value("path", "")), OneLine(mount.value("type", "")),
               mount.value("frozen", false) ? "frozen" : "left: " + why});
  }
  return table.Render(TerminalWidth());
}

}  // namespace

void AddFreeze(CLI::App& app, Shared& shared) {
  struct FreezeOptions {
    std::string vm;
    std::optional<uint64_t> timeout_ms;
  };
  auto options = std::make_shared<FreezeOptions>();
  CLI::App* command =
      AddCommand(app, shared, "freeze", "hold all writes to a guest's disks", [&shared, options] {
        const std::string what = "freeze " + options->vm;
        auto client = shared.Connect();
        if (!client) return Report(what, client.error());
        json params = {{"name", options->vm}};
        if (options->timeout_ms) params["timeout_ms"] = *options->timeout_ms;
        auto answer = client->Call("compute.vm.freeze", std::move(params), Deadline::In(kVmCall));
        if (!answer) return Report(what, answer.error());
        if (shared.json) {
          fmt::print("{}\n", answer->dump(2));
        } else if (!shared.quiet) {
          fmt::print("{}", RenderFrozen(*answer));
        }
        return 0;
      });
  command->add_option("VM", options->vm, "the VM")->required();
  AddDuration(command, "--timeout", options->timeout_ms,
              "then its agent thaws by itself; default: 10s, at most 10m");
}

void AddThaw(CLI::App& app, Shared& shared) {
  auto vm = std::make_shared<std::string>();
  CLI::App* command =
      AddCommand(app, shared, "thaw", "let a frozen guest's writes go on", [&shared, vm] {
        return CallVm(shared, "thaw", "compute.vm.thaw", *vm, json::object(),
                      [&](const json& answer) {
                        return fmt::format("{}: {} thawed", *vm, answer.value("mounts", 0));
                      });
      });
  command->add_option("VM", *vm, "the VM")->required();
}

}  // namespace berth::cli
