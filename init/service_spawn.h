// SPDX-License-Identifier: Apache-2.0
//
// A service's process: its environment, user, limits and descriptors put together and handed to
// Spawn. Nothing here waits.
#ifndef BERTH_INIT_SERVICE_SPAWN_H_
#define BERTH_INIT_SERVICE_SPAWN_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "init/config.h"
#include "protocol/base/result.h"
#include "protocol/base/users.h"

namespace berth::init {

inline constexpr size_t kMaxEnvFileBytes = 256 * 1024;
inline constexpr size_t kMaxEnvFileVariables = 4096;
inline constexpr const char* kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// What a start of a service takes besides its configuration.
struct ServiceSpawn {
  const Config* config;
  const ServiceConfig* service;
  std::span<const std::string> probe;  // a probe of the service in its stead: program and arguments
  std::span<const int> sockets;        // in the order of the configuration: 3, 4, …
  std::string notify_path;             // empty: no NOTIFY_SOCKET
  int cgroup_procs = -1;
  const char* console = "/dev/console";
  // Where "log" goes; -1: there is none, and it goes to the console.
  int log_out = -1;
  int log_err = -1;
};

// The process leads a session of its own, with /dev/null as its input. Error::step names what
// failed: user, group, groups, env-file, output, or a step of Spawn.
Result<pid_t> SpawnService(const ServiceSpawn& spawn);

// K=V a line; blank lines and lines with # are left out, quotes around a whole value taken off. A
// line of another form is an error that names it (EINVAL); so are too many (E2BIG).
Result<Environment> ParseEnvFile(std::string_view text, std::string_view path);

// "K=V" of each, later ones replacing earlier: the defaults for `account`, [environment], the
// service's file, its env, and what socket activation and readiness add. LISTEN_PID is left empty,
// with room for a number.
std::vector<std::string> ServiceEnvironment(const ServiceSpawn& spawn, const Account& account,
                                            const Environment& from_file);

}  // namespace berth::init

#endif  // BERTH_INIT_SERVICE_SPAWN_H_
