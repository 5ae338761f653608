// SPDX-License-Identifier: Apache-2.0
#include "supervisor/daemon/json_rpc.h"

namespace berth::daemon {
namespace {

// Looked at before the parser is let loose: it would build a value per bracket.
bool NestsTooDeep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxNesting) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

Request Refused(int code, std::string message, json id = nullptr) {
  Request request;
  request.id = std::move(id);
  request.error = RpcError{code, std::move(message), {}};
  return request;
}

Request ParseRequest(const json& value) {
  if (!value.is_object()) return Refused(kInvalidRequest, "a request is an object");
  const auto id = value.find("id");
  const bool has_id = id != value.end();
  if (has_id && !id->is_string() && !id->is_number_integer() && !id->is_null()) {
    return Refused(kInvalidRequest, "\"id\" is a string, an integer or null");
  }
  Request request;
  request.notification = !has_id;
  if (has_id) request.id = *id;
  const auto version = value.find("jsonrpc");
  if (version == value.end() || *version != "2.0") {
    return Refused(kInvalidRequest, "\"jsonrpc\" is \"2.0\"", request.id);
  }
  const auto method = value.find("method");
  if (method == value.end() || !method->is_string()) {
    return Refused(kInvalidRequest, "\"method\" is a string", request.id);
  }
  request.method = method->get<std::string>();
  if (const auto params = value.find("params"); params != value.end()) {
    if (!params->is_structured()) {
      return Refused(kInvalidRequest, "\"params\" is an object or an array", request.id);
    }
    request.params = *params;
  }
  return request;
}

}  // namespace

RpcError ToRpcError(const Fault& fault, std::string_view state) {
  json data = {{"kind", Info(fault.kind).name},
               {"step", fault.step},
               {"errno", fault.errnum},
               {"errno_name", fault.errnum != 0 ? ErrnoName(fault.errnum) : ""},
               {"detail", fault.detail},
               {"hint", fault.hint}};
  if (!state.empty()) data["state"] = state;
  return {Info(fault.kind).rpc_code, fault.Message(), std::move(data)};
}

Incoming ParseLine(std::string_view line) {
  if (NestsTooDeep(line)) {
    return {
        {Refused(kInvalidRequest, "nested deeper than " + std::to_string(kMaxNesting) + " levels")},
        false};
  }
  const json value = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return {{Refused(kParseError, "not JSON")}, false};
  if (!value.is_array()) return {{ParseRequest(value)}, false};
  if (value.empty()) return {{Refused(kInvalidRequest, "an empty batch")}, false};
  if (value.size() > kMaxBatch) {
    return {{Refused(kInvalidRequest, "a batch of " + std::to_string(value.size()) +
                                          " requests, the limit is " + std::to_string(kMaxBatch))},
            false};
  }
  Incoming incoming;
  incoming.batch = true;
  for (const json& each : value) incoming.requests.push_back(ParseRequest(each));
  return incoming;
}

json ResultObject(const json& id, json result) {
  return {{"jsonrpc", "2.0"}, {"id", id}, {"result", std::move(result)}};
}

json ErrorObject(const json& id, const RpcError& error) {
  json object = {{"code", error.code}, {"message", error.message}};
  if (!error.data.is_null()) object["data"] = error.data;
  return {{"jsonrpc", "2.0"}, {"id", id}, {"error", std::move(object)}};
}

std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace berth::daemon
