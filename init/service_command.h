// SPDX-License-Identifier: Apache-2.0
//
// `berth-init status|start|stop|restart|reload`: the client of PID 1's control socket, for people
// and scripts in a guest.
#ifndef BERTH_INIT_SERVICE_COMMAND_H_
#define BERTH_INIT_SERVICE_COMMAND_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/base/service_control.h"

namespace berth::init {

// The exit codes of these commands.
enum ServiceExit : int {
  kServiceDone = 0,
  kServiceFailed = 1,
  kServiceUsage = 2,
  kNoSuchService = 3,
  kNoServer = 4,  // no PID 1 of Berth here, or one that does not answer
};

bool IsServiceVerb(std::string_view word);

// `arguments` begins with the verb. Prints, and returns the exit code.
int RunServiceCommand(std::span<char* const> arguments, const char* socket_path);

struct ServiceReply {
  std::vector<ServiceRow> rows;
  ServiceAnswer answer;
};
// One request on the socket at `path`.
Result<ServiceReply> AskServices(const char* path, const ServiceRequest& request,
                                 std::string_view text, Deadline deadline);

// `now_ns`: CLOCK_MONOTONIC.
std::string ServiceTable(std::span<const ServiceRow> rows, int64_t now_ns);
std::string ServiceJson(std::span<const ServiceRow> rows);

}  // namespace berth::init

#endif  // BERTH_INIT_SERVICE_COMMAND_H_
