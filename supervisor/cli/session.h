// SPDX-License-Identifier: Apache-2.0
//
// An exec session as exec and run share it: options, request, exit code.
#ifndef BERTH_SUPERVISOR_CLI_SESSION_H_
#define BERTH_SUPERVISOR_CLI_SESSION_H_

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/cli/client.h"
#include "supervisor/guest/exec_client.h"

namespace berth::cli {

struct SessionOptions {
  bool interactive = false;
  bool tty = false;
  std::vector<std::string> env;
  std::string cwd;
  std::string user;  // USER[:GROUP]
  std::optional<uint64_t> timeout_ms;
  bool detach = false;
};

void AddSessionOptions(CLI::App* app, SessionOptions& options);

// Parameters of compute.vm.exec.
json SessionParams(const std::string& vm, const std::vector<std::string>& command,
                   const SessionOptions& options);

// What the CLI exits with: the program's own code, 128 + its signal, 124 where it ran over its
// time.
int ExitCodeOf(const guest::ExecOutcome& outcome);
// 126 and 127 where the guest could not execute the program, else 125.
int ExitCodeOf(const Error& error);

// Of a VM that has ended, as status shows it: its main service's code, or 128 + its signal. Without
// a main service 0 where the guest said that it ended in order, else 125.
int ExitCodeOfGuest(const json& vm);

json ToJson(const guest::ExecOutcome& outcome);

// Asks berthd for a session by `method`, and carries it to its end: what RunSession and attach
// share.
int CarrySession(Client& client, const std::string& what, const std::string& vm,
                 const std::string& method, nlohmann::json params, guest::ExecStreams streams,
                 bool json);

// Asks for the session and carries it to its end. `what` opens an error's line; `json` prints the
// outcome on stderr. `interrupt_fd`: see Client.
int RunSession(Client& client, const std::string& what, const std::string& vm,
               const std::vector<std::string>& command, const SessionOptions& options, bool json);

}  // namespace berth::cli

#endif  // BERTH_SUPERVISOR_CLI_SESSION_H_
