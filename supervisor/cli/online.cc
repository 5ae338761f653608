// SPDX-License-Identifier: Apache-2.0
//
// berth online VM: bring a guest's plugged processors and memory online.
#include <fmt/format.h>

#include "supervisor/cli/vm_call.h"

namespace berth::cli {
namespace {

std::string RenderOnline(const std::string& what, const json& counted) {
  return fmt::format("{}: {} of {} online (+{})", what, counted.value("after", 0),
                     counted.value("present", 0),
                     counted.value("after", 0) - counted.value("before", 0));
}

}  // namespace

void AddOnline(CLI::App& app, Shared& shared) {
  auto vm = std::make_shared<std::string>();
  CLI::App* command = AddCommand(
      app, shared, "online", "bring a guest's processors and memory online", [&shared, vm] {
        return CallVm(
            shared, "online", "compute.vm.online", *vm, json::object(), [](const json& answer) {
              std::string text = RenderOnline("cpus", answer.value("cpus", json::object()));
              text += ", " +
                      RenderOnline("memory blocks", answer.value("memory_blocks", json::object()));
              const std::string failed = answer.value("failed", "");
              return failed.empty() ? text : text + "; " + failed;
            });
      });
  command->add_option("VM", *vm, "the VM")->required();
}

}  // namespace berth::cli
