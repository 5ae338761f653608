// SPDX-License-Identifier: Apache-2.0
//
// berth session VM ls|end|signal [SESSION]: the exec sessions in a VM.
#include <fmt/format.h>

#include <csignal>
#include <cstring>

#include "supervisor/cli/command.h"
#include "supervisor/cli/service_view.h"
#include "supervisor/cli/table.h"

namespace berth::cli {

namespace {

// "TERM", "SIGTERM" or "15".
int ParseSignal(const std::string& text) {
  const std::string name = text.starts_with("SIG") ? text.substr(3) : text;
  for (int number = 1; number < NSIG; ++number) {
    const char* const known = sigabbrev_np(number);
    if (std::to_string(number) == text || (known != nullptr && name == known)) return number;
  }
  throw CLI::ValidationError("--signal", "'" + text + "' is no signal");
}

std::string StateOf(const json& row) {
  if (!row.value("end_ms", json()).is_null()) return "ended";
  if (!row.value("detach", false)) return "running";
  return row.value("attached", false) ? "attached" : "detached";
}

std::string RenderSessions(const json& answer) {
  Table table({"SESSION", "STATE", "SINCE", "PID", "EXIT", "COMMAND"});
  for (const json& row : answer.value("sessions", json::array())) {
    const json end = row.value("end_ms", json());
    const double since = end.is_number() ? end.get<double>() : row.value("start_ms", 0.0);
    table.Add({OneLine(row.value("session", "")), StateOf(row),
               SpanOf(std::max(0.0, answer.value("guest_ms", 0.0) - since)),
               std::to_string(row.value("pid", uint64_t{0})), ExitText(row.value("exit", json())),
               OneLine(row.value("command", ""))});
  }
  return table.Render(TerminalWidth());
}

}  // namespace

void AddSession(CLI::App& app, Shared& shared) {
  struct Options {
    std::string vm;
    std::string verb = "ls";
    std::string session;
    std::string signal = "TERM";
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = AddCommand(
      app, shared, "session", "the exec sessions in a VM: what runs, and orders to it",
      [&shared, options] {
        if ((options->verb == "ls") != options->session.empty()) {
          throw CLI::ValidationError("SESSION", options->session.empty()
                                                    ? options->verb + " takes a session's id"
                                                    : "ls takes no session");
        }
        json params = {{"name", options->vm}, {"verb", options->verb}};
        if (!options->session.empty()) params["session"] = options->session;
        if (options->verb == "signal") params["signal"] = ParseSignal(options->signal);
        const std::string what = "session " + options->vm + " " + options->verb;
        auto client = shared.Connect();
        if (!client) return Report(what, client.error());
        const auto answer =
            client->Call("compute.vm.sessions", std::move(params), Deadline::In(kQuickCall));
        if (!answer) return Report(what, answer.error());
        if (shared.json) {
          fmt::print("{}\n", answer->dump(2));
        } else if (options->verb == "ls" && shared.quiet) {
          for (const json& row : answer->value("sessions", json::array())) {
            fmt::print("{}\n", OneLine(row.value("session", "")));
          }
        } else if (options->verb == "ls") {
          fmt::print("{}", RenderSessions(*answer));
        }
        return 0;
      });
  command->add_option("VM", options->vm, "the VM")->required();
  command->add_option("VERB", options->verb, "what to do; default: ls")
      ->check(CLI::IsMember({"ls", "end", "signal"}));
  command->add_option("SESSION", options->session, "one of the guest's, by its id");
  command->add_option("-s,--signal", options->signal, "with signal: name or number; default: TERM");
  command->footer(
      "end: SIGTERM to the session, and SIGKILL to all of its processes 5 s later; one that has "
      "ended is forgotten.");
}

}  // namespace berth::cli
