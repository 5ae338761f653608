// SPDX-License-Identifier: Apache-2.0
//
// berth doctor: what this host needs to run VMs, checked by trying it. Works without berthd.
#include "supervisor/daemon/doctor.h"

#include <fmt/format.h>

#include "supervisor/cli/command.h"
#include "supervisor/cli/table.h"
#include "supervisor/daemon/kinds.h"
#include "supervisor/daemon/paths.h"

namespace berth::cli {
namespace {

constexpr auto kExamination = std::chrono::seconds(20);

daemon::Check CheckDaemon(const Shared& shared, daemon::DoctorInputs& inputs) {
  daemon::Check check{"berthd", daemon::Verdict::kOk, {}, {}};
  auto client = shared.Connect();
  auto info = client ? client->Call("compute.host.info", json::object(), Deadline::In(kQuickCall))
                     : Outcome<json>(std::unexpected(client.error()));
  if (!info) {
    // Not running is no illness of the host.
    check.verdict = daemon::Verdict::kWarning;
    check.found = info.error().message;
    return check;
  }
  inputs.state_dir = info->value("state_dir", inputs.state_dir);
  check.found = fmt::format("version {}, pid {}, on {}", info->value("version", ""),
                            info->value("pid", 0), info->value("socket", ""));
  return check;
}

}  // namespace

void AddDoctor(CLI::App& app, Shared& shared) {
  AddCommand(app, shared, "doctor", "check what this host needs to run VMs", [&shared] {
    daemon::DoctorInputs inputs{daemon::kDefaultStateDir, daemon::SocketPath(shared.socket),
                                daemon::LibexecDir()};
    const daemon::Check running = CheckDaemon(shared, inputs);
    std::vector<daemon::Check> checks = daemon::Examine(inputs, Deadline::In(kExamination));
    checks.push_back(running);
    const daemon::Verdict worst = daemon::Worst(checks);
    if (shared.json) {
      json list = json::array();
      for (const daemon::Check& each : checks) {
        list.push_back({{"name", each.name},
                        {"verdict", Name(each.verdict)},
                        {"found", each.found},
                        {"mend", each.mend}});
      }
      fmt::print("{}\n", json({{"verdict", Name(worst)}, {"checks", list}}).dump(2));
    } else {
      for (const daemon::Check& each : checks) {
        if (shared.quiet && each.verdict == daemon::Verdict::kOk) continue;
        fmt::print("{:<8} {:<16} {}\n", Name(each.verdict), each.name, OneLine(each.found));
        if (!each.mend.empty()) fmt::print("{:<8} {:<16} -> {}\n", "", "", OneLine(each.mend));
      }
    }
    return worst == daemon::Verdict::kFailed ? daemon::kExitDoctorFailed : 0;
  });
}

}  // namespace berth::cli
