// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shim/exit_record.h"

#include <algorithm>
#include <array>

#include "protocol/base/io.h"
#include "supervisor/hypervisor/bounded_json.h"

namespace berth::shim {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 8> kReasons = {
    "guest-shutdown", "guest-reset", "guest-panic",   "host-qmp-quit",
    "killed",         "crashed",     "launch-failed", "unknown"};
constexpr size_t kMaxFailureTextBytes = 16 * 1024;

json OrNull(const std::optional<int>& value) { return value ? json(*value) : json(nullptr); }

void ReadOptional(FieldReader& reader, const json& object, std::string_view name,
                  std::optional<int>& out) {
  int value = 0;
  reader.Number(name, 0, 255, value);
  const auto found = object.find(name);
  if (found != object.end() && !found->is_null()) out = value;
}

}  // namespace

std::string_view Name(ExitReason reason) { return kReasons[static_cast<size_t>(reason)]; }

std::optional<ExitReason> ParseExitReason(std::string_view name) {
  const auto found = std::ranges::find(kReasons, name);
  if (found == kReasons.end()) return std::nullopt;
  return static_cast<ExitReason>(found - kReasons.begin());
}

Failure Failure::From(const Error& error) {
  return {std::string(error.step.name()), error.errnum, error.detail, error.hint};
}

std::string Failure::Message() const {
  // Error composes the text; its step is put in front by hand, being no literal here.
  constexpr Step kPlaceholder = "";
  return step + Error{kPlaceholder, errnum, detail, hint}.Message();
}

json ToJson(const Failure& failure) {
  return {{"step", failure.step},
          {"errno", failure.errnum},
          {"detail", failure.detail},
          {"hint", failure.hint}};
}

Failure FailureFromJson(const json& object, const std::string& prefix, FieldMistakes& mistakes) {
  Failure failure;
  FieldReader reader(object, prefix, mistakes);
  reader.Require("step");
  reader.Text("step", 64, failure.step);
  reader.Number("errno", 0, 4095, failure.errnum);
  reader.Text("detail", kMaxFailureTextBytes, failure.detail);
  reader.Text("hint", kMaxFailureTextBytes, failure.hint);
  return failure;
}

json ToJson(const ExitRecord& record) {
  json object = {{"code", OrNull(record.code)},         {"signal", OrNull(record.signal)},
                 {"reason", Name(record.reason)},       {"kill_requested", record.kill_requested},
                 {"monotonic_ns", record.monotonic_ns}, {"realtime_ns", record.realtime_ns},
                 {"utime_us", record.utime_us},         {"stime_us", record.stime_us},
                 {"maxrss_kib", record.maxrss_kib},     {"vsock_restarts", record.vsock_restarts}};
  if (record.failure) object["failure"] = ToJson(*record.failure);
  return object;
}

std::string ToJsonText(const ExitRecord& record) { return DumpLine(ToJson(record)); }

Result<ExitRecord> ExitRecordFromJson(const json& object) {
  if (!object.is_object()) return Fail("exit-record", EPROTO, "not a JSON object");
  ExitRecord record;
  FieldMistakes mistakes;
  FieldReader reader(object, "", mistakes);
  ReadOptional(reader, object, "code", record.code);
  ReadOptional(reader, object, "signal", record.signal);
  auto reason = static_cast<size_t>(record.reason);
  reader.Require("reason");
  reader.OneOf("reason", kReasons, reason);
  record.reason = static_cast<ExitReason>(reason);
  reader.Flag("kill_requested", record.kill_requested);
  reader.Number("monotonic_ns", 0, INT64_MAX, record.monotonic_ns);
  reader.Number("realtime_ns", 0, INT64_MAX, record.realtime_ns);
  reader.Number("utime_us", 0, INT64_MAX, record.utime_us);
  reader.Number("stime_us", 0, INT64_MAX, record.stime_us);
  reader.Number("maxrss_kib", 0, INT64_MAX, record.maxrss_kib);
  reader.Number("vsock_restarts", 0, UINT32_MAX, record.vsock_restarts);
  if (const json* failure = reader.Object("failure")) {
    record.failure = FailureFromJson(*failure, "failure.", mistakes);
  }
  if (!mistakes.empty()) return Fail("exit-record", EPROTO, Join(mistakes));
  return record;
}

Result<ExitRecord> ReadExitRecord(const std::string& path) {
  auto text = ReadFile(path.c_str(), kMaxExitRecordBytes);
  if (!text) return Fail("exit-record", text.error().errnum, path);
  const auto parsed = ParseBounded(*text, {.max_bytes = kMaxExitRecordBytes});
  if (!parsed) return Fail("exit-record", EPROTO, path + ": " + parsed.error().detail);
  auto record = ExitRecordFromJson(*parsed);
  if (!record) return Fail("exit-record", EPROTO, path + ": " + record.error().detail);
  return record;
}

}  // namespace berth::shim
