// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shim/control_protocol.h"

#include <array>
#include <type_traits>

#include "supervisor/hypervisor/bounded_json.h"

namespace berth::shim {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 2> kOps = {"status", "kill"};
constexpr std::array<std::string_view, 3> kPhases = {"launching", "running", "ending"};
constexpr std::array<std::string_view, 4> kVsockStates = {"none", "up", "restarting", "lost"};
constexpr std::array<std::string_view, 7> kEvents = {
    "started", "vsock-restarted", "vsock-lost", "status", "error", "failed", "exited"};
static_assert(kEvents.size() == std::variant_size_v<Event>);

constexpr int64_t kMaxPid = INT32_MAX;
constexpr size_t kMaxDetailBytes = 16 * 1024;

struct CounterRow {
  const char* name;
  uint64_t Status::* field;
};
constexpr CounterRow kCounters[] = {
    {"console_bytes", &Status::console_bytes},
    {"console_lost_bytes", &Status::console_lost_bytes},
    {"log_lost_bytes", &Status::log_lost_bytes},
    {"qmp_dropped", &Status::qmp_dropped},
    {"clients_dropped", &Status::clients_dropped},
};

json Fields(const Started& event) {
  return {{"pid", event.pid},
          {"vsock_pid", event.vsock_pid},
          {"exec_monotonic_ns", event.exec_monotonic_ns}};
}
json Fields(const VsockRestarted& event) { return {{"pid", event.pid}, {"count", event.count}}; }
json Fields(const VsockLost& event) { return {{"count", event.count}, {"detail", event.detail}}; }
json Fields(const RequestRefused& event) { return {{"detail", event.detail}}; }
json Fields(const Failure& event) { return ToJson(event); }
json Fields(const ExitRecord& event) { return ToJson(event); }
json Fields(const Status& event) {
  json object = {{"phase", Name(event.phase)},   {"pid", event.pid},
                 {"vsock_pid", event.vsock_pid}, {"paused", event.paused},
                 {"vsock", Name(event.vsock)},   {"vsock_restarts", event.vsock_restarts}};
  for (const CounterRow& row : kCounters) object[row.name] = event.*row.field;
  return object;
}

Started ParseStarted(FieldReader& reader) {
  Started event;
  reader.Require("pid");
  reader.Number("pid", 1, kMaxPid, event.pid);
  reader.Number("vsock_pid", 0, kMaxPid, event.vsock_pid);
  reader.Number("exec_monotonic_ns", 0, INT64_MAX, event.exec_monotonic_ns);
  return event;
}

VsockRestarted ParseVsockRestarted(FieldReader& reader) {
  VsockRestarted event;
  reader.Require("pid");
  reader.Number("pid", 1, kMaxPid, event.pid);
  reader.Number("count", 0, UINT32_MAX, event.count);
  return event;
}

VsockLost ParseVsockLost(FieldReader& reader) {
  VsockLost event;
  reader.Number("count", 0, UINT32_MAX, event.count);
  reader.Text("detail", kMaxDetailBytes, event.detail);
  return event;
}

Status ParseStatus(FieldReader& reader) {
  Status event;
  auto phase = static_cast<size_t>(event.phase);
  reader.OneOf("phase", kPhases, phase);
  event.phase = static_cast<Phase>(phase);
  auto vsock = static_cast<size_t>(event.vsock);
  reader.OneOf("vsock", kVsockStates, vsock);
  event.vsock = static_cast<VsockState>(vsock);
  reader.Number("pid", 0, kMaxPid, event.pid);
  reader.Number("vsock_pid", 0, kMaxPid, event.vsock_pid);
  reader.Flag("paused", event.paused);
  reader.Number("vsock_restarts", 0, UINT32_MAX, event.vsock_restarts);
  for (const CounterRow& row : kCounters) reader.Number(row.name, 0, INT64_MAX, event.*row.field);
  return event;
}

}  // namespace

std::string_view Name(Phase phase) { return kPhases[static_cast<size_t>(phase)]; }
std::string_view Name(VsockState state) { return kVsockStates[static_cast<size_t>(state)]; }

std::string Encode(Op op) { return DumpLine({{"op", kOps[static_cast<size_t>(op)]}}); }

std::string Encode(const Event& event) {
  json object = std::visit([](const auto& each) { return Fields(each); }, event);
  object["event"] = kEvents[event.index()];
  return DumpLine(object);
}

Result<Op> ParseRequest(std::string_view line) {
  const auto parsed = ParseBounded(line, {.max_bytes = kMaxRequestBytes, .max_depth = 4});
  if (!parsed) return Fail("control-protocol", EPROTO, parsed.error().detail);
  if (!parsed->is_object()) return Fail("control-protocol", EPROTO, "not a JSON object");
  FieldMistakes mistakes;
  FieldReader reader(*parsed, "", mistakes);
  size_t op = 0;
  reader.Require("op");
  reader.OneOf("op", kOps, op);
  if (!mistakes.empty()) return Fail("control-protocol", EPROTO, Join(mistakes));
  return static_cast<Op>(op);
}

Result<Event> ParseEvent(std::string_view line) {
  const auto parsed = ParseBounded(line, {.max_bytes = kMaxEventBytes});
  if (!parsed) return Fail("control-protocol", EPROTO, parsed.error().detail);
  if (!parsed->is_object()) return Fail("control-protocol", EPROTO, "not a JSON object");
  FieldMistakes mistakes;
  FieldReader reader(*parsed, "", mistakes);
  size_t kind = 0;
  reader.Require("event");
  reader.OneOf("event", kEvents, kind);
  if (!mistakes.empty()) return Fail("control-protocol", EPROTO, Join(mistakes));
  Event event;
  const auto set = [&](auto value) { event = std::move(value); };
  switch (kind) {
    case 0:
      set(ParseStarted(reader));
      break;
    case 1:
      set(ParseVsockRestarted(reader));
      break;
    case 2:
      set(ParseVsockLost(reader));
      break;
    case 3:
      set(ParseStatus(reader));
      break;
    case 4: {
      RequestRefused refused;
      reader.Text("detail", kMaxDetailBytes, refused.detail);
      set(std::move(refused));
      break;
    }
    case 5:
      set(FailureFromJson(*parsed, "", mistakes));
      break;
    default: {
      BERTH_ASSIGN(ExitRecord record, ExitRecordFromJson(*parsed));
      set(std::move(record));
    }
  }
  if (!mistakes.empty()) return Fail("control-protocol", EPROTO, Join(mistakes));
  return event;
}

}  // namespace berth::shim
