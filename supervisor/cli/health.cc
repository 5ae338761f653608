// SPDX-License-Identifier: Apache-2.0
//
// berth health VM [--watch]: what a VM's checks say.
#include <fmt/format.h>

#include "supervisor/cli/command.h"
#include "supervisor/cli/health_view.h"
#include "supervisor/cli/reader_watch.h"
#include "supervisor/cli/table.h"

namespace berth::cli {
namespace {

constexpr auto kHealthQuestion = std::chrono::seconds(30);  // per question

struct HealthOptions {
  std::string vm;
  bool watch = false;
};

int RunHealth(const Shared& shared, const HealthOptions& options) {
  const std::string what = "health " + options.vm;
  auto client = shared.Connect();
  if (!client) return Report(what, client.error());
  if (options.watch) EndWithReader();
  std::string seen;
  std::string shown;
  for (;;) {
    json params = {{"name", options.vm}};
    if (!seen.empty()) {
      params["seen"] = seen;
      params["follow_ms"] = std::chrono::milliseconds(kHealthQuestion).count();
    }
    auto health = client->Call("compute.vm.health", std::move(params),
                               Deadline::In(kHealthQuestion + kQuickCall));
    if (!health) return Report(what, health.error());
    std::string text;
    if (shared.json) {
      text = health->dump(options.watch ? -1 : 2) + "\n";
    } else if (shared.quiet) {
      text = OneLine(health->value("health", "")) + "\n";
    } else {
      text = RenderHealth(*health, TerminalWidth());
    }
    // A question that ended without news is no news; how long a run took is none either.
    if (const std::string states = HealthStates(*health); states != shown || !options.watch) {
      shown = states;
      if (options.watch && !shared.json && !shared.quiet) {
        fmt::print("{} {}\n", ClockTime(RealtimeNs()), OneLine(health->value("health", "")));
      }
      fmt::print("{}", text);
      std::fflush(stdout);
    }
    if (!options.watch) return health->value("health", "") == "healthy" ? 0 : 1;
    seen = health->value("seen", "");
  }
}

}  // namespace

void AddHealth(CLI::App& app, Shared& shared) {
  auto options = std::make_shared<HealthOptions>();
  CLI::App* command = AddCommand(app, shared, "health", "what a VM's health checks say",
                                 [&shared, options] { return RunHealth(shared, *options); });
  command->add_option("VM", options->vm, "the VM")->required();
  command->add_flag("--watch", options->watch, "and again whenever a state changes");
  command->footer(
      "Exits with 0 where the VM is healthy, with 1 where it is not, or where a check has not "
      "decided yet.");
}

}  // namespace berth::cli
