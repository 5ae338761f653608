// SPDX-License-Identifier: Apache-2.0
//
// berth boot VM: where the time of its last boot went.
#include <fmt/format.h>

#include "supervisor/cli/command.h"
#include "supervisor/cli/service_view.h"
#include "supervisor/cli/table.h"
#include "supervisor/daemon/kinds.h"

namespace berth::cli {
namespace {

constexpr int kTimedOutCode = daemon::Info(daemon::Kind::kTimedOut).exit_code;

// The services' part is the guest's to tell: where it cannot, the phases are there all the same.
json WithServices(Client& client, const std::string& name, const json& vm) {
  if (const std::string why = WhyNoServices(vm); !why.empty()) {
    return BootReport(vm["boot"], nullptr, name + why);
  }
  const auto services = client.Call("compute.vm.service", {{"name", name}, {"verb", "ls"}},
                                    Deadline::In(kServiceLook));
  if (!services && services.error().exit_code == kTimedOutCode) {
    return BootReport(vm["boot"], nullptr, "the agent of " + name + " did not answer in time");
  }
  if (!services) return BootReport(vm["boot"], nullptr, services.error().message);
  return BootReport(vm["boot"], &*services, {});
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
        json report = WithServices(*client, *name, *vm);
        if (shared.json) {
          report["name"] = *name;
          report["attempts"] = vm->value("boot_attempts", 0);
          report["accelerator"] = vm->value("accelerator", "");
          fmt::print("{}\n", report.dump(2));
        } else {
          fmt::print("{}", RenderBoot(report, TerminalWidth()));
        }
        return 0;
      });
  command->add_option("VM", *name, "the VM")->required();
}

}  // namespace berth::cli
