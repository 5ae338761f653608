// SPDX-License-Identifier: Apache-2.0
//
// berth wait VM: until it reaches a state; by default, until it is not up any more.
#include <fmt/format.h>

#include <algorithm>

#include "supervisor/cli/command.h"
#include "supervisor/cli/table.h"
#include "supervisor/daemon/kinds.h"

namespace berth::cli {

namespace {

constexpr uint64_t kLongestWaitMs = 3'600'000;
constexpr auto kHealthFollow = std::chrono::seconds(30);  // per question

int WaitHealthy(const Shared& shared, Client& client, const std::string& what,
                const std::string& vm, Deadline deadline) {
  std::string seen;
  for (;;) {
    const int left_ms = deadline.PollTimeoutMs();
    json params = {{"name", vm}};
    if (!seen.empty()) {
      params["seen"] = seen;
      params["follow_ms"] =
          std::min<int64_t>(left_ms, std::chrono::milliseconds(kHealthFollow).count());
    }
    auto health = client.Call("compute.vm.health", std::move(params),
                              Deadline::In(kHealthFollow + kQuickCall));
    if (!health) return Report(what, health.error());
    if (health->value("health", "") == "healthy") {
      if (shared.json) {
        fmt::print("{}\n", health->dump());
      } else if (!shared.quiet) {
        fmt::print("healthy\n");
      }
      return 0;
    }
    if (deadline.Passed()) {
      return Report(what, {daemon::Info(daemon::Kind::kTimedOut).exit_code,
                           "it is " + OneLine(health->value("health", ""))});
    }
    seen = health->value("seen", "");
  }
}

}  // namespace

void AddWait(CLI::App& app, Shared& shared) {
  struct Options {
    std::string name;
    std::vector<std::string> states;
    std::optional<uint64_t> timeout_ms;
    bool healthy = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command =
      AddCommand(app, shared, "wait", "wait until a VM reaches a state", [&shared, options] {
        const std::string what = "wait " + options->name;
        if (options->healthy) {
          options->states = {"Running"};
        } else if (options->states.empty()) {
          options->states = {"Stopped", "StartFailed", "Failed"};
        }
        const Deadline deadline =
            Deadline::In(std::chrono::milliseconds(options->timeout_ms.value_or(kLongestWaitMs)));
        auto client = shared.Connect();
        if (!client) return Report(what, client.error());
        json params = {{"name", options->name}, {"states", options->states}};
        if (options->timeout_ms) params["timeout_ms"] = *options->timeout_ms;
        auto reached = client->Call("compute.vm.wait", std::move(params), Deadline::In(kVmCall));
        if (!reached) return Report(what, reached.error());
        if (options->healthy) return WaitHealthy(shared, *client, what, options->name, deadline);
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
  command
      ->add_flag("--healthy", options->healthy,
                 "until it is Running and all its checks are healthy")
      ->excludes("--state");
  AddDuration(command, "--timeout", options->timeout_ms, "at most and by default 1h");
}

}  // namespace berth::cli
