// SPDX-License-Identifier: Apache-2.0
//
// berth exec VM -- CMD…: runs a program in a VM and exits as it does.
#include "supervisor/cli/command.h"
#include "supervisor/cli/session.h"
#include "supervisor/daemon/kinds.h"

namespace berth::cli {

void AddExec(CLI::App& app, Shared& shared) {
  struct Options {
    std::string name;
    SessionOptions session;
  };
  auto options = std::make_shared<Options>();
  const auto command = std::make_shared<CLI::App*>(nullptr);
  *command = AddCommand(
      app, shared, "exec", "run a program in a VM and exit as it does",
      [&shared, options, command] {
        const std::string what = "exec " + options->name;
        const std::vector<std::string> argv =
            shared.has_tail ? shared.tail : (*command)->remaining();
        if (argv.empty()) {
          return Report(what, {daemon::kExitUsage, "no command; berth exec VM -- COMMAND…"});
        }
        auto client = shared.Connect();
        if (!client) return Report(what, {daemon::kExitBerthFailed, client.error().message});
        return RunSession(*client, what, options->name, argv, options->session, shared.json);
      });
  (*command)->prefix_command();
  (*command)->add_option("VM", options->name, "the VM")->required();
  AddSessionOptions(*command, options->session);
  (*command)->add_flag("-d,--detach", options->session.detach,
                       "print the session's id and leave it running; berth attach leads back");
  (*command)->footer(
      "Exits with the program's code, 128 + N where signal N ended it, 124 where it timed out, 125 "
      "where berth failed,\n126 and 127 where the program cannot be executed or is not there.");
}

}  // namespace berth::cli
