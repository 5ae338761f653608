// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/qmp_codec.h"

#include "supervisor/hypervisor/bounded_json.h"

namespace berth::qmp {
namespace {

using nlohmann::json;

constexpr size_t kMaxShownBytes = 512;

const json* Member(const json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

std::string TextOf(const json* value) {
  if (value == nullptr || !value->is_string()) return {};
  return value->get_ref<const std::string&>().substr(0, kMaxShownBytes);
}

Greeting ParseGreeting(const json& hello) {
  Greeting greeting;
  const json* version = Member(hello, "version");
  const json* qemu = version == nullptr ? nullptr : Member(*version, "qemu");
  if (qemu == nullptr) return greeting;
  for (const char* part : {"major", "minor", "micro"}) {
    const json* number = Member(*qemu, part);
    if (number == nullptr || !number->is_number_unsigned()) return Greeting{};
    if (!greeting.version.empty()) greeting.version += '.';
    greeting.version += std::to_string(number->get<uint64_t>());
  }
  return greeting;
}

}  // namespace

std::string Event::Text(const char* member) const { return TextOf(Member(data, member)); }

bool Event::Flag(const char* member) const {
  const json* value = Member(data, member);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

Result<Message> ParseMessage(std::string_view line) {
  BERTH_ASSIGN(json object, ParseBounded(line, {.max_bytes = kMaxLineBytes}));
  if (!object.is_object()) return Fail("qmp", EPROTO, "a line that is no JSON object");
  if (const json* hello = Member(object, "QMP")) return ParseGreeting(*hello);
  if (const json* name = Member(object, "event")) {
    if (!name->is_string()) return Fail("qmp", EPROTO, "an event without a name");
    Event event{TextOf(name), json::object()};
    if (const json* data = Member(object, "data"); data != nullptr && data->is_object()) {
      event.data = *data;
    }
    return event;
  }
  Reply reply;
  if (const json* id = Member(object, "id"); id != nullptr && id->is_number_unsigned()) {
    reply.id = id->get<uint64_t>();
  }
  if (const json* value = Member(object, "return")) {
    reply.ok = true;
    reply.value = *value;
    return reply;
  }
  if (const json* error = Member(object, "error")) {
    reply.error = TextOf(Member(*error, "class")) + ": " + TextOf(Member(*error, "desc"));
    return reply;
  }
  return Fail("qmp", EPROTO, "a line that is neither greeting, reply nor event");
}

std::string EncodeCommand(std::string_view command, uint64_t id) {
  return EncodeCommand(command, id, json::object());
}

std::string EncodeCommand(std::string_view command, uint64_t id, const json& arguments) {
  json object = {{"execute", command}, {"id", id}};
  if (!arguments.empty()) object["arguments"] = arguments;
  return DumpLine(object);
}

}  // namespace berth::qmp
