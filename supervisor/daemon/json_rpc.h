// SPDX-License-Identifier: Apache-2.0
//
// JSON-RPC 2.0, as far as it concerns texts: a line becomes requests, outcomes become lines. A line
// comes from anybody who may open the socket: its length, its nesting and the size of a batch are
// bounded. Pure functions; any thread.
#ifndef BERTH_SUPERVISOR_DAEMON_JSON_RPC_H_
#define BERTH_SUPERVISOR_DAEMON_JSON_RPC_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/daemon/kinds.h"

namespace berth::daemon {

using nlohmann::json;

inline constexpr size_t kMaxLineBytes = 1024 * 1024;  // a request, or a batch of them
inline constexpr int kMaxNesting = 16;
inline constexpr size_t kMaxBatch = 64;

inline constexpr int kParseError = -32700;
inline constexpr int kInvalidRequest = -32600;
inline constexpr int kMethodNotFound = -32601;
inline constexpr int kInvalidParams = -32602;
inline constexpr int kInternalError = -32603;

struct RpcError {
  int code = kInternalError;
  std::string message;
  json data = {};  // null: none
};

// The error of a fault: its kind's code, its message, and data {kind, step, errno, errno_name,
// detail, hint, state}. `state`: of the VM in question, empty where there is none.
RpcError ToRpcError(const Fault& fault, std::string_view state);

struct Request {
  json id;                    // null where it is a notification
  bool notification = false;  // has no "id" at all: it gets no answer
  std::string method;
  json params = json::object();   // an object, or an array by position
  std::optional<RpcError> error;  // it is no valid request: this is its answer
};

struct Incoming {
  std::vector<Request> requests;
  bool batch = false;
};

// One line. Where it is no JSON, or an empty batch, `requests` holds the one error to answer.
Incoming ParseLine(std::string_view line);

// Answers, without newline. Texts that are no UTF-8 (console output) get replacement characters.
json ResultObject(const json& id, json result);
json ErrorObject(const json& id, const RpcError& error);
std::string Dump(const json& value);

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_JSON_RPC_H_
