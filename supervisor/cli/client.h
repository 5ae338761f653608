// SPDX-License-Identifier: Apache-2.0
//
// Client: the CLI's connection to berthd. One request at a time, answered before the next. Owns the
// connection; blocks, each call with a deadline; one thread.
#ifndef BERTH_SUPERVISOR_CLI_CLIENT_H_
#define BERTH_SUPERVISOR_CLI_CLIENT_H_

#include <expected>
#include <nlohmann/json.hpp>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::cli {

using nlohmann::json;

// Why a command could not be done: what a person reads, and what the program exits with.
struct Failure {
  int exit_code = 1;
  std::string message;  // "step: ERRNO (text): detail; hint"
};
template <typename T = void>
using Outcome = std::expected<T, Failure>;

Failure ToFailure(int exit_code, const Error& error);

// A blocking connection to berthd. Unreachable (ENOENT, ECONNREFUSED) and not permitted (EACCES)
// have exit codes of their own.
Outcome<UniqueFd> DialBerthd(const std::string& socket);

// The error of an answer of berthd's.
Failure FromRpcError(const json& error);

class Client {
 public:
  static Outcome<Client> Connect(const std::string& socket);

  Outcome<json> Call(const std::string& method, json params, Deadline deadline);
  // The descriptor that comes behind the answer.
  Outcome<UniqueFd> CallForFd(const std::string& method, json params, Deadline deadline);

  // A call returns early, with exit code 128 + N, when this descriptor becomes readable. -1: none.
  void set_interrupt_fd(int fd) { interrupt_fd_ = fd; }

 private:
  explicit Client(UniqueFd fd) : fd_(std::move(fd)) {}
  Outcome<std::string> ReadLine(Deadline deadline);

  UniqueFd fd_;
  int interrupt_fd_ = -1;
  int next_id_ = 1;
};

}  // namespace berth::cli

#endif  // BERTH_SUPERVISOR_CLI_CLIENT_H_
