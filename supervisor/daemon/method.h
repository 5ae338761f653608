// SPDX-License-Identifier: Apache-2.0
//
// Methods: the API as one table. A row holds a method's name, its parameters and its handler;
// dispatch checks parameters by it, rpc.discover and docs/api.md are generated from it. Handlers
// are coroutines of the daemon's one thread.
#ifndef BERTH_SUPERVISOR_DAEMON_METHOD_H_
#define BERTH_SUPERVISOR_DAEMON_METHOD_H_

#include <sys/types.h>

#include <boost/asio/awaitable.hpp>
#include <expected>
#include <functional>
#include <memory>
#include <set>
#include <span>

#include "protocol/base/unique_fd.h"
#include "supervisor/daemon/doctor.h"
#include "supervisor/daemon/json_rpc.h"
#include "supervisor/daemon/log_archive.h"
#include "supervisor/lifecycle/fleet.h"

namespace berth::daemon {

// Who asks, by the kernel's word (SO_PEERCRED).
struct Caller {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  // Returns once the client has closed its connection, and nobody waits for an answer any more. One
  // that has only closed its writing half waits still.
  std::function<boost::asio::awaitable<void>()> gone = {};
  // What this connection to the API has been given already and need not be recorded again, for as
  // long as it lasts. Null: record everything.
  std::shared_ptr<std::set<std::string>> recorded = {};
  std::string Text() const;  // "uid 0, pid 4711"
};

// What handlers work with. Owned by main, outlives the server.
struct Service {
  lifecycle::Fleet& fleet;
  std::string state_dir;
  std::string socket;
  int64_t started_monotonic_ns = 0;
  // Runs the checks of doctor off this thread: some of them start programs.
  std::function<boost::asio::awaitable<std::vector<Check>>()> doctor;
  LogArchive& logs;
};

struct Answer {
  json result;
  UniqueFd fd;  // handed over behind the answer
};

enum class ParamType : uint8_t { kString, kCount, kFlag, kStrings, kObject };

struct Param {
  std::string_view name;
  ParamType type;
  bool required;
  std::string_view meaning;
};

using Handler = boost::asio::awaitable<Outcome<Answer>> (*)(Service& service, json params,
                                                            Caller caller);

struct Method {
  std::string_view name;
  std::string_view summary;
  std::span<const Param> params;
  std::string_view result_name;
  std::string_view result;  // what it answers, in words
  Handler handler;          // null for rpc.discover, which needs the table itself
  bool changes = false;     // is logged with who asked
  bool hands_over = false;  // answers with a descriptor: not in a batch
};

// rpc.discover among them, sorted by name.
std::span<const Method> Methods();
const Method* FindMethod(std::string_view name);

// Parameters by position or by name, as an object by name: unknown ones, wrong types and missing
// ones are mistakes, all named at once.
std::expected<json, RpcError> CheckParams(const Method& method, const json& params);

// The OpenRPC 1.2.6 document of the table.
json Discover(std::span<const Method> methods);
// The methods in Markdown, for docs/api.md.
std::string RenderMethods(std::span<const Method> methods);

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_METHOD_H_
