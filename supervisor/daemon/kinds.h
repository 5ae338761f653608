// SPDX-License-Identifier: Apache-2.0
//
// One row per kind of fault: the code of the API's error, the exit code of the CLI, and the words
// of the docs. docs/operators.md and docs/api.md are generated from it. Values only; any thread.
#ifndef BERTH_SUPERVISOR_DAEMON_KINDS_H_
#define BERTH_SUPERVISOR_DAEMON_KINDS_H_

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "supervisor/lifecycle/fault.h"

namespace berth::daemon {

using lifecycle::Fault;
using lifecycle::Kind;
using lifecycle::Outcome;

struct KindInfo {
  Kind kind;
  std::string_view name;  // data.kind of an API error
  int rpc_code;           // JSON-RPC: -32000 … -32099 is the server's own
  int exit_code;          // of berth, but for exec and run
  std::string_view meaning;
};

inline constexpr std::array<KindInfo, lifecycle::kKinds> kKindInfo{{
    {Kind::kFailed, "failed", -32000, 1, "it failed; the message says at which step and why"},
    {Kind::kUnknownVm, "unknown-vm", -32001, 3, "no VM has that name"},
    {Kind::kVmExists, "vm-exists", -32002, 4, "a VM of that name is there already"},
    {Kind::kWrongState, "wrong-state", -32003, 4, "the VM's state does not allow it"},
    {Kind::kInvalidSpec, "invalid-spec", -32004, 2, "the spec has mistakes: each is named"},
    {Kind::kBadImage, "bad-image", -32005, 9,
     "image, kernel or disk is missing or not what it should be"},
    {Kind::kNoResources, "no-resources", -32006, 10,
     "the host lacks disk space, memory or processes"},
    {Kind::kStartFailed, "start-failed", -32007, 7, "the VM was launched and did not come up"},
    {Kind::kTimedOut, "timed-out", -32008, 8, "a deadline passed"},
    {Kind::kAgentUnreachable, "agent-unreachable", -32009, 11,
     "the VM runs, but its agent does not answer"},
    {Kind::kNotPermitted, "not-permitted", -32010, 6, "the host said EACCES or EPERM"},
    {Kind::kLimit, "limit", -32011, 10, "a limit of this berthd is reached"},
    {Kind::kShuttingDown, "shutting-down", -32012, 5, "berthd is on its way out"},
}};

constexpr const KindInfo& Info(Kind kind) { return kKindInfo[static_cast<size_t>(kind)]; }

constexpr std::optional<Kind> KindNamed(std::string_view name) {
  for (const KindInfo& info : kKindInfo) {
    if (info.name == name) return info.kind;
  }
  return std::nullopt;
}

consteval bool KindsStandInOrder() {
  for (size_t i = 0; i < kKindInfo.size(); ++i) {
    if (kKindInfo[i].kind != static_cast<Kind>(i) || kKindInfo[i].name.empty()) return false;
    for (size_t j = i + 1; j < kKindInfo.size(); ++j) {
      if (kKindInfo[i].rpc_code == kKindInfo[j].rpc_code) return false;
    }
  }
  return true;
}
static_assert(KindsStandInOrder(), "one row per kind, in the order of the enum, codes unique");

// Exit codes of berth that no kind stands for.
struct ExitCode {
  int code;
  std::string_view meaning;
};
inline constexpr int kExitUsage = 2;
inline constexpr int kExitUnreachable = 5;
inline constexpr int kExitNotPermitted = 6;
inline constexpr int kExitDoctorFailed = 1;
inline constexpr int kExitTimedOut = 124;     // exec, run: the command ran over --timeout
inline constexpr int kExitBerthFailed = 125;  // exec, run: berth failed, not the command
inline constexpr int kExitNotExecutable = 126;
inline constexpr int kExitNotFound = 127;
inline constexpr int kExitSignalBase = 128;

// The exit codes as tables in Markdown, for docs/operators.md; the API's error codes, for
// docs/api.md.
std::string RenderExitCodes();
std::string RenderErrorCodes();

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_KINDS_H_
