// SPDX-License-Identifier: Apache-2.0
//
// berth console VM: the end of what its guest wrote to its serial console.
#include <fmt/format.h>
#include <unistd.h>

#include "protocol/base/text.h"
#include "supervisor/cli/command.h"

namespace berth::cli {
namespace {

// The last `lines` lines of `text`; 0: all.
std::string_view Tail(std::string_view text, size_t lines) {
  if (lines == 0) return text;
  size_t at = text.ends_with('\n') ? text.size() - 1 : text.size();
  while (at > 0) {
    const size_t newline = text.rfind('\n', at - 1);
    if (newline == std::string_view::npos) return text;
    if (--lines == 0) return text.substr(newline + 1);
    at = newline;
  }
  return text;
}

// A guest's bytes on a person's terminal: text, but nothing that drives the terminal.
std::string ForTerminal(std::string_view text) {
  std::string out(text);
  std::ranges::replace(out, '\r', ' ');
  return Printable(out, std::string_view::npos, "\n\t");
}

}  // namespace

void AddConsole(CLI::App& app, Shared& shared) {
  struct Options {
    std::string name;
    size_t lines = 0;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command =
      AddCommand(app, shared, "console", "the end of a VM's console log", [&shared, options] {
        const std::string what = "console " + options->name;
        auto client = shared.Connect();
        if (!client) return Report(what, client.error());
        auto console =
            client->Call("compute.vm.console", {{"name", options->name}}, Deadline::In(kQuickCall));
        if (!console) return Report(what, console.error());
        const std::string text = console->value("text", "");
        if (shared.json) {
          fmt::print("{}\n", console->dump());
        } else {
          const auto tail = Tail(text, options->lines);
          fmt::print("{}", isatty(STDOUT_FILENO) != 0 ? ForTerminal(tail) : std::string(tail));
        }
        return 0;
      });
  command->add_option("VM", options->name, "the VM")->required();
  command->add_option("-n,--lines", options->lines, "at most so many; default: the last 256 KiB");
}

}  // namespace berth::cli
