// SPDX-License-Identifier: Apache-2.0
//
// QMP, QEMU's monitor protocol, as text: one JSON object a line, both ways.
//
//   QEMU → {"QMP": {"version": ...}}                                once, at connect
//        ← {"execute": "qmp_capabilities", "id": N}                 before any other command
//   QEMU → {"return": {...}, "id": N} or {"error": {"class": ..., "desc": ...}, "id": N}
//   QEMU → {"event": "STOP", "data": {...}, "timestamp": {...}}     at any time
//
// Source: QEMU docs/interop/qmp-spec.txt. QEMU may have been taken over by its guest: what it sends
// is bounded and never trusted to be well-formed. Pure functions; any thread. No event loop, so
// that the shim can use it too.
#ifndef BERTH_SUPERVISOR_HYPERVISOR_QMP_CODEC_H_
#define BERTH_SUPERVISOR_HYPERVISOR_QMP_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "protocol/base/result.h"

namespace berth::qmp {

inline constexpr size_t kMaxLineBytes = 64 * 1024;

struct Greeting {
  std::string version;  // "7.2.22"
};

struct Reply {
  std::optional<uint64_t> id;  // none: QEMU could not parse the command
  bool ok = false;
  nlohmann::json value;  // where ok
  std::string error;     // else: "GenericError: ..."
};

struct Event {
  std::string name;
  nlohmann::json data;  // an object, perhaps empty

  // A text member of data; empty where it is absent or no text.
  std::string Text(const char* member) const;
  bool Flag(const char* member) const;
};

using Message = std::variant<Greeting, Reply, Event>;

// A line without its newline. Step "qmp".
Result<Message> ParseMessage(std::string_view line);

// One line, with its newline.
std::string EncodeCommand(std::string_view command, uint64_t id);
std::string EncodeCommand(std::string_view command, uint64_t id, const nlohmann::json& arguments);

}  // namespace berth::qmp

#endif  // BERTH_SUPERVISOR_HYPERVISOR_QMP_CODEC_H_
