// SPDX-License-Identifier: Apache-2.0
//
// berth: the command line. Each command is a client of berthd's API; main has the table of them.
#include <fmt/format.h>

#include <algorithm>

#include "protocol/wire/handshake.h"
#include "supervisor/cli/command.h"
#include "supervisor/daemon/kinds.h"

namespace berth::cli {
namespace {

// clang-format off
constexpr void (*kCommands[])(CLI::App&, Shared&) = {
    AddCreate,
    AddStart,
    AddStop,
    AddKill,
    AddPause,
    AddResume,
    AddRm,
    AddPs,
    AddStatus,
    AddBoot,
    AddWait,
    AddEvents,
    AddConsole,
    AddService,
    AddHealth,
    AddClock,
    AddFreeze,
    AddThaw,
    AddOnline,
    AddLogs,
    AddExec,
    AddAttach,
    AddSession,
    AddCopy,
    AddForward,
    AddStats,
    AddTop,
    AddRun,
    AddImage,
    AddDoctor,
    AddVersion,
};
// clang-format on

// What stands behind "--" is a command for a guest, and none of our parser's business.
void SplitTail(std::vector<std::string>& args, Shared& shared) {
  const auto dashes = std::ranges::find(args, "--");
  if (dashes == args.end()) return;
  shared.has_tail = true;
  shared.tail.assign(dashes + 1, args.end());
  args.erase(dashes, args.end());
}

int Main(int argc, char** argv) {
  Shared shared;
  CLI::App app("berth: runs microVMs and commands in them", "berth");
  app.set_version_flag("--version", std::string("berth ") + wire::BuildId());
  app.add_option("--socket", shared.socket, "berthd's socket");
  app.require_subcommand(1);
  app.footer("berth COMMAND --help says more. Exit codes: docs/operators.md.");
  for (const auto add : kCommands) add(app, shared);

  std::vector<std::string> args(argv + 1, argv + argc);
  SplitTail(args, shared);
  std::ranges::reverse(args);  // as CLI11 takes them
  try {
    app.parse(std::move(args));
    // Some values are only looked at when the command makes its request of them.
    return shared.chosen();
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "berth: {}; berth --help shows the way\n", error.what());
    return daemon::kExitUsage;
  } catch (const json::exception& error) {
    fmt::print(stderr,
               "berth: berthd's answer is not as this berth knows it ({}); are both of one "
               "release?\n",
               error.what());
    return daemon::kExitBerthFailed;
  }
}

}  // namespace
}  // namespace berth::cli

int main(int argc, char** argv) { return berth::cli::Main(argc, argv); }
