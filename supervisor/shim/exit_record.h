// SPDX-License-Identifier: Apache-2.0
//
// ExitRecord: how a VM ended, as its shim wrote it to exit.json before it told anybody. A value;
// any thread.
#ifndef BERTH_SUPERVISOR_SHIM_EXIT_RECORD_H_
#define BERTH_SUPERVISOR_SHIM_EXIT_RECORD_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/result.h"
#include "supervisor/hypervisor/bounded_json.h"

namespace berth::shim {

inline constexpr size_t kMaxExitRecordBytes = 64 * 1024;

enum class ExitReason {
  kGuestShutdown,  // the guest powered itself off
  kGuestReset,     // the guest rebooted, which ends the hypervisor (see docs/hypervisors.md)
  kGuestPanic,     // the guest's kernel panicked
  kHostQmpQuit,    // the hypervisor was told to quit over its monitor
  kKilled,         // by SIGKILL or SIGTERM; see kill_requested
  kCrashed,        // by another signal, or a non-zero code of its own
  kLaunchFailed,   // it never ran; see failure
  kUnknown,        // code 0 with no word of why
};

std::string_view Name(ExitReason reason);
std::optional<ExitReason> ParseExitReason(std::string_view name);

// An Error that has travelled: the step is no literal of this program any more.
struct Failure {
  std::string step;
  int errnum = 0;
  std::string detail;
  std::string hint;

  static Failure From(const Error& error);
  std::string Message() const;  // as Error::Message
  friend bool operator==(const Failure&, const Failure&) = default;
};

struct ExitRecord {
  std::optional<int> code;    // exit code of the hypervisor
  std::optional<int> signal;  // or the signal that ended it; neither where it never ran
  ExitReason reason = ExitReason::kUnknown;
  bool kill_requested = false;  // a client, or a SIGTERM to the shim, asked for it
  int64_t monotonic_ns = 0;
  int64_t realtime_ns = 0;
  int64_t utime_us = 0;
  int64_t stime_us = 0;
  int64_t maxrss_kib = 0;
  uint32_t vsock_restarts = 0;
  std::optional<Failure> failure;  // kLaunchFailed only

  friend bool operator==(const ExitRecord&, const ExitRecord&) = default;
};

nlohmann::json ToJson(const Failure& failure);
Failure FailureFromJson(const nlohmann::json& object, const std::string& prefix,
                        FieldMistakes& mistakes);

nlohmann::json ToJson(const ExitRecord& record);
std::string ToJsonText(const ExitRecord& record);
Result<ExitRecord> ExitRecordFromJson(const nlohmann::json& json);
// Step "exit-record"; ENOENT where the VM has not ended.
Result<ExitRecord> ReadExitRecord(const std::string& path);

}  // namespace berth::shim

#endif  // BERTH_SUPERVISOR_SHIM_EXIT_RECORD_H_
