// SPDX-License-Identifier: Apache-2.0
//
// berth service VM ls|status|start|stop|restart|reload [SERVICE]: what the guest's PID 1 keeps
// running.
#include <fmt/format.h>

#include "protocol/wire/limits.h"
#include "supervisor/cli/command.h"
#include "supervisor/cli/service_view.h"
#include "supervisor/cli/table.h"

namespace berth::cli {

namespace {

constexpr uint64_t kMaxTimeoutMs =
    std::chrono::duration_cast<std::chrono::milliseconds>(wire::kMaxServiceTimeout).count();

}  // namespace

void AddService(CLI::App& app, Shared& shared) {
  struct Options {
    std::string vm;
    std::string verb = "ls";
    std::string service;
    std::optional<uint64_t> timeout_ms;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = AddCommand(
      app, shared, "service", "the services in a VM: what they do, and orders to them",
      [&shared, options] {
        if ((options->verb == "ls") != options->service.empty()) {
          throw CLI::ValidationError("SERVICE", options->service.empty()
                                                    ? options->verb + " takes a service's name"
                                                    : "ls takes no service");
        }
        if (options->timeout_ms > kMaxTimeoutMs) {
          throw CLI::ValidationError("--timeout", "at most 1h");
        }
        const std::string what = "service " + options->vm + " " + options->verb;
        auto client = shared.Connect();
        if (!client) return Report(what, client.error());
        json params = {{"name", options->vm}, {"verb", options->verb}};
        if (!options->service.empty()) params["service"] = options->service;
        if (options->timeout_ms) params["timeout_ms"] = *options->timeout_ms;
        // berthd and the guest keep the deadline.
        auto answer = client->Call("compute.vm.service", std::move(params), Deadline::In(kVmCall));
        if (!answer) return Report(what, answer.error());
        const bool look = options->verb == "ls" || options->verb == "status";
        if (shared.json) {
          fmt::print("{}\n", answer->dump(look ? 2 : -1));
        } else if (look && shared.quiet) {
          for (const json& row : answer->value("services", json::array())) {
            fmt::print("{}\n", OneLine(row.value(options->verb == "ls" ? "name" : "state", "")));
          }
        } else if (look) {
          fmt::print("{}", RenderServices(*answer, TerminalWidth()));
        } else if (!shared.quiet) {
          fmt::print("{}: {} done\n", OneLine(options->service), options->verb);
        }
        return 0;
      });
  command->add_option("VM", options->vm, "the VM")->required();
  command->add_option("VERB", options->verb, "what to do; default: ls")
      ->check(CLI::IsMember({"ls", "status", "start", "stop", "restart", "reload"}));
  command->add_option("SERVICE", options->service, "one of the guest's");
  AddDuration(command, "--timeout", options->timeout_ms,
              "for the service to get there; default: 90s, at most 1h");
}

}  // namespace berth::cli
