// SPDX-License-Identifier: Apache-2.0
//
// What the commands share: the options that all have, the connection, the way an error is printed.
// Each command stands in a file of its own, x.cc, and adds itself to the app by a function AddX;
// the table of all of them is in main.cc.
#ifndef BERTH_SUPERVISOR_CLI_COMMAND_H_
#define BERTH_SUPERVISOR_CLI_COMMAND_H_

#include <CLI/CLI.hpp>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "supervisor/cli/client.h"

namespace berth::cli {

// For calls that berthd answers from what it knows.
inline constexpr auto kQuickCall = std::chrono::seconds(30);
// For a look at a guest's services beside something else: an agent that is slow to give it is left.
inline constexpr auto kServiceLook = std::chrono::seconds(5);
// For calls that wait for a VM; each of its phases has a deadline in berthd.
inline constexpr auto kVmCall = std::chrono::hours(4);

struct Shared {
  std::string socket;             // --socket
  bool json = false;              // --json
  bool quiet = false;             // -q
  std::vector<std::string> tail;  // what stood behind "--"
  bool has_tail = false;
  std::function<int()> chosen;  // the command to run, once all is parsed

  Outcome<Client> Connect() const;
};

// A subcommand with the options that all have. `run` returns the exit code.
CLI::App* AddCommand(CLI::App& app, Shared& shared, const std::string& name,
                     const std::string& summary, std::function<int()> run);

// "berth: WHAT: MESSAGE" on stderr; returns the exit code.
int Report(const std::string& what, const Failure& failure);

// "8s", "500ms", "2m", "1h"; a bare number counts seconds. For CLI11: throws CLI::ValidationError.
std::chrono::milliseconds ParseDuration(const std::string& text);
// An option that takes a duration and leaves it in `ms`.
CLI::Option* AddDuration(CLI::App* app, const std::string& name, std::optional<uint64_t>& ms,
                         const std::string& summary);

// Runs `one` for each name; the first failure's exit code, once all have had their turn.
int ForEach(const std::vector<std::string>& names,
            const std::function<int(const std::string&)>& one);

void AddCreate(CLI::App& app, Shared& shared);
void AddStart(CLI::App& app, Shared& shared);
void AddStop(CLI::App& app, Shared& shared);
void AddKill(CLI::App& app, Shared& shared);
void AddPause(CLI::App& app, Shared& shared);
void AddResume(CLI::App& app, Shared& shared);
void AddHealth(CLI::App& app, Shared& shared);
void AddClock(CLI::App& app, Shared& shared);
void AddFreeze(CLI::App& app, Shared& shared);
void AddThaw(CLI::App& app, Shared& shared);
void AddOnline(CLI::App& app, Shared& shared);
void AddRm(CLI::App& app, Shared& shared);
void AddPs(CLI::App& app, Shared& shared);
void AddStatus(CLI::App& app, Shared& shared);
void AddBoot(CLI::App& app, Shared& shared);
void AddWait(CLI::App& app, Shared& shared);
void AddEvents(CLI::App& app, Shared& shared);
void AddConsole(CLI::App& app, Shared& shared);
void AddAttach(CLI::App& app, Shared& shared);
void AddSession(CLI::App& app, Shared& shared);
void AddCopy(CLI::App& app, Shared& shared);
void AddExec(CLI::App& app, Shared& shared);
void AddForward(CLI::App& app, Shared& shared);
void AddRun(CLI::App& app, Shared& shared);
void AddImage(CLI::App& app, Shared& shared);
void AddDoctor(CLI::App& app, Shared& shared);
void AddService(CLI::App& app, Shared& shared);
void AddLogs(CLI::App& app, Shared& shared);
void AddStats(CLI::App& app, Shared& shared);
void AddTop(CLI::App& app, Shared& shared);
void AddVersion(CLI::App& app, Shared& shared);

}  // namespace berth::cli

#endif  // BERTH_SUPERVISOR_CLI_COMMAND_H_
