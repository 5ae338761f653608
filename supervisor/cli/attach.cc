// SPDX-License-Identifier: Apache-2.0
//
// berth attach VM SESSION: back into a session that was started with --detach.
#include <fmt/format.h>
#include <unistd.h>

#include "supervisor/cli/command.h"
#include "supervisor/cli/session.h"
#include "supervisor/guest/terminal.h"

namespace berth::cli {

namespace {

constexpr char kCtrl = 0x1f;  // what Ctrl leaves of a letter

// "ctrl-]" as the byte that the key sends, or "none".
char ParseLeaveKey(const std::string& text) {
  if (text == "none") return '\0';
  if (text.size() == 6 && text.starts_with("ctrl-") && text[5] >= '@' && text[5] <= '~') {
    return static_cast<char>(text[5] & kCtrl);
  }
  throw CLI::ValidationError("--leave-key", "ctrl- and a letter or one of @[\\]^_, or none");
}

}  // namespace

void AddAttach(CLI::App& app, Shared& shared) {
  struct Options {
    std::string vm;
    std::string session;
    std::string leave_key = "ctrl-]";
    bool no_stdin = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command =
      AddCommand(app, shared, "attach",
                 "go back into a session that was started with exec --detach", [&shared, options] {
                   guest::ExecStreams streams;
                   streams.leave_key = ParseLeaveKey(options->leave_key);
                   streams.attach = true;
                   streams.stdin_open = !options->no_stdin;
                   streams.stdin_fd = options->no_stdin ? -1 : STDIN_FILENO;
                   const std::string what = "attach " + options->vm;
                   auto client = shared.Connect();
                   if (!client) return Report(what, client.error());
                   json params = {{"name", options->vm}, {"session", options->session}};
                   if (const auto size = guest::SizeOfTerminal(STDIN_FILENO)) {
                     params["rows"] = size->rows;
                     params["columns"] = size->columns;
                   }
                   return CarrySession(*client, what, options->vm, "compute.vm.attach",
                                       std::move(params), streams, shared.json);
                 });
  command->add_option("VM", options->vm, "the VM")->required();
  command->add_option("SESSION", options->session, "its id, as exec --detach printed it")
      ->required();
  command->add_flag("--no-stdin", options->no_stdin, "only look");
  command->add_option("--leave-key", options->leave_key,
                      "on a terminal, the key that leaves the session; default ctrl-], or none");
  command->footer(
      "Shows what the session has put out last, at most 256 KiB, and goes on from there. Exits as "
      "exec does once the\nprogram has ended; with 0 where the key left it. INT, TERM and HUP "
      "leave it too: it goes on.");
}

}  // namespace berth::cli
