// SPDX-License-Identifier: Apache-2.0
//
// berth create VM --image DIR: accepts a VM. It owns nothing until it is started.
#include <fmt/format.h>

#include "supervisor/cli/command.h"
#include "supervisor/cli/spec_options.h"

namespace berth::cli {

void AddCreate(CLI::App& app, Shared& shared) {
  struct Options {
    std::string name;
    SpecOptions spec;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = AddCommand(app, shared, "create", "accept a VM", [&shared, options] {
    const std::string what = "create " + options->name;
    auto client = shared.Connect();
    if (!client) return Report(what, client.error());
    auto vm = client->Call("compute.vm.create", {{"spec", ToSpec(options->name, options->spec)}},
                           Deadline::In(kQuickCall));
    if (!vm) return Report(what, vm.error());
    if (shared.json) {
      fmt::print("{}\n", vm->dump(2));
    } else if (!shared.quiet) {
      fmt::print("{}\n", options->name);
    }
    return 0;
  });
  command->add_option("VM", options->name, "its name")->required();
  command->add_option("--image", options->spec.image, "directory with an image.json");
  AddSpecOptions(command, options->spec);
}

}  // namespace berth::cli
