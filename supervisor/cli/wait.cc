// SPDX-License-Identifier: Apache-2.0
//
// berth wait VM: until it reaches a state; by default, until it is not up any more.
#include <fmt/format.h>

#include "supervisor/cli/command.h"

namespace berth::cli {

void AddWait(CLI::App& app, Shared& shared) {
  struct Options {
    std::string name;
    std::vector<std::string> states;
    std::optional<uint64_t> timeout_ms;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command =
      AddCommand(app, shared, "wait", "wait until a VM reaches a state", [&shared, options] {
        const std::string what = "wait " + options->name;
        if (options->states.empty()) options->states = {"Stopped", "StartFailed", "Failed"};
        auto client = shared.Connect();
        if (!client) return Report(what, client.error());
        json params = {{"name", options->name}, {"states", options->states}};
        if (options->timeout_ms) params["timeout_ms"] = *options->timeout_ms;
        auto reached = client->Call("compute.vm.wait", std::move(params), Deadline::In(kVmCall));
        if (!reached) return Report(what, reached.error());
        if (shared.json) {
          fmt::print("{}\n", reached->dump());
        } else if (!shared.quiet) {
          fmt::print("{}\n", reached->value("state", ""));
        }
        return 0;
      });
  command->add_option("VM", options->name, "the VM")->required();
  command
      ->add_option("--state", options->states,
                   "may be repeated; default: Stopped, StartFailed and Failed")
      ->expected(1)
      ->take_all();
  AddDuration(command, "--timeout", options->timeout_ms, "at most and by default 1h");
}

}  // namespace berth::cli
