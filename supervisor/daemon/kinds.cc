// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/kinds.h"

#include <fmt/format.h>

#include <map>

namespace berth::daemon {

std::string RenderExitCodes() {
  std::map<int, std::string> rows{
      {0, "done; for `exec` and `run`: the command exited with 0; for `doctor`: nothing failed"},
      {kExitUsage, "the command line is wrong"},
      {kExitUnreachable, "berthd cannot be reached"},
      {kExitNotPermitted, "its socket may not be opened"},
  };
  for (const KindInfo& info : kKindInfo) {
    std::string& row = rows[info.exit_code];
    if (!row.empty()) row += "; ";
    row += info.meaning;
  }
  rows[kExitDoctorFailed] += "; for `doctor`: a check failed";
  std::string out = "| code | means |\n|---|---|\n";
  for (const auto& [code, meaning] : rows) out += fmt::format("| {} | {} |\n", code, meaning);
  out += "\n`exec` and `run` exit with the command's own code, and with these:\n\n";
  out += "| code | means |\n|---|---|\n";
  out += fmt::format("| {} | the command ran over `--timeout` and was ended |\n", kExitTimedOut);
  out +=
      fmt::format("| {} | berth failed: whatever of the table above it was, the message says |\n",
                  kExitBerthFailed);
  out += fmt::format("| {} | the guest found the command and may not execute it |\n",
                     kExitNotExecutable);
  out += fmt::format("| {} | the guest has no such command |\n", kExitNotFound);
  out += fmt::format(
      "| {} + N | signal N ended the command, or, for `run`, berth itself was interrupted by it "
      "|\n",
      kExitSignalBase);
  return out;
}

std::string RenderErrorCodes() {
  std::string out =
      "| code | data.kind | means |\n|---|---|---|\n"
      "| -32700 | | the line is no JSON |\n"
      "| -32600 | | it is no JSON-RPC 2.0 request, or over a limit |\n"
      "| -32601 | | no such method |\n"
      "| -32602 | | the parameters are not the method's; each mistake is named |\n"
      "| -32603 | | berthd has a bug |\n";
  for (const KindInfo& info : kKindInfo) {
    out += fmt::format("| {} | `{}` | {} |\n", info.rpc_code, info.name, info.meaning);
  }
  return out;
}

}  // namespace berth::daemon
