// SPDX-License-Identifier: Apache-2.0
//
// What an image's author may ask of berth-init: /etc/berth/init.toml as values. Plain data; what
// stands here has been checked (config_decode.h), so the rest of PID 1 need not look twice.
//
// docs/init.md describes each key; the tables of config_keys.cc are what decoder, documentation and
// tests all follow.
#ifndef BERTH_INIT_CONFIG_H_
#define BERTH_INIT_CONFIG_H_

#include <sys/resource.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/base/agent_settings.h"
#include "protocol/base/log.h"

namespace berth::init {

using Milliseconds = std::chrono::milliseconds;

inline constexpr const char* kConfigPath = "/etc/berth/init.toml";
inline constexpr size_t kMaxConfigBytes = 256 * 1024;
inline constexpr size_t kMaxServices = 256;
inline constexpr size_t kMaxNameChars = 63;  // of a service, a user, an interface, a host

// In the order of the file, a later one of the same name having replaced the earlier.
using Environment = std::vector<std::pair<std::string, std::string>>;

struct MountConfig {
  std::string source;
  std::string target;
  std::string type;              // empty: told from the superblock
  unsigned long flags = 0;       // MS_*, from the options that are flags
  std::string data;              // the other options, by comma
  bool fatal = true;             // a failure ends the machine
  bool format_if_blank = false;  // an ext4 is made on a device that holds nothing but zeros
  Milliseconds wait{10'000};     // for a device to appear
  bool operator==(const MountConfig&) const = default;
};

struct RouteConfig {
  std::string to;   // "10.1.0.0/16", "fd00::/8"; "default" of either family
  std::string via;  // empty: on the link
  uint32_t metric = 0;
  bool operator==(const RouteConfig&) const = default;
};

struct InterfaceConfig {
  std::string name;
  std::vector<std::string> addresses;  // "10.0.0.2/24", "fd00::2/64"
  std::vector<RouteConfig> routes;     // gateway = "…" is one to "default"
  uint32_t mtu = 0;                    // 0: the driver's
  std::vector<std::string> dhcp;       // a client of the image, kept running; empty: none
  Milliseconds wait{10'000};           // for the interface to appear
  bool fatal = false;
  bool operator==(const InterfaceConfig&) const = default;
};

struct NetworkConfig {
  std::vector<InterfaceConfig> interfaces;
  std::vector<std::string> dns;
  std::vector<std::string> search;
  std::vector<std::pair<std::string, std::string>> hosts;  // name → address
  bool operator==(const NetworkConfig&) const = default;
};

struct FileConfig {
  std::string path;
  std::string content;
  mode_t mode = 0644;
  std::string owner;  // "user", "user:group", names or numbers; empty: root
  bool operator==(const FileConfig&) const = default;
};

struct UserConfig {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<std::string> groups;
  std::string home = "/";
  std::string shell = "/bin/sh";
  bool operator==(const UserConfig&) const = default;
};

// One way to find out that a service answers. Used for readiness, and again and again for health.
struct Probe {
  enum class Kind { kPort, kFile, kExec };
  Kind kind = Kind::kPort;
  std::string address = "127.0.0.1";  // kPort
  uint16_t port = 0;                  // kPort: something accepts a TCP connection
  std::string path;                   // kFile: it is there
  std::vector<std::string> exec;      // kExec: ends with 0; run as the service's user
  bool operator==(const Probe&) const = default;
};

struct ReadyConfig {
  bool notify = false;  // READY=1 on NOTIFY_SOCKET, sd_notify(3)
  std::optional<Probe>
      probe;  // neither: ready as soon as it runs; a oneshot when it has ended well
  Milliseconds interval{100};    // between two probes
  Milliseconds timeout{60'000};  // then the service has failed
  bool operator==(const ReadyConfig&) const = default;
};

struct HealthConfig {
  Probe probe;
  Milliseconds interval{10'000};
  Milliseconds timeout{5'000};     // of one probe
  Milliseconds start_period{0};    // failures within it, from the start on, do not count
  int unhealthy_after = 3;         // failures in a row
  int healthy_after = 1;           // successes in a row
  bool restart_unhealthy = false;  // then the service is restarted; else it only shows
  bool operator==(const HealthConfig&) const = default;
};

enum class RestartWhen { kNever, kOnFailure, kAlways };

struct RestartConfig {
  RestartWhen when = RestartWhen::kOnFailure;
  std::vector<int> codes;   // where not empty: these exit codes only, of those that `when` admits
  Milliseconds first{100};  // wait after the second short life in a row; doubles from there
  Milliseconds longest{30'000};
  double jitter = 0.1;                  // of the wait, up and down
  Milliseconds stable_after{10'000};    // a life this long forgives all before it
  int budget = 6;                       // short lives in a row that make a crash loop; 0: never
  bool shutdown_on_crash_loop = false;  // else the service is marked failed
  bool operator==(const RestartConfig&) const = default;
};

struct SocketConfig {
  std::string name;    // LISTEN_FDNAMES
  std::string listen;  // "tcp:0.0.0.0:80", "tcp:[::]:80", "udp:…", "unix:/run/x.sock", "vsock:PORT"
  mode_t mode = 0666;  // of a Unix socket
  int backlog = 128;
  bool operator==(const SocketConfig&) const = default;
};

struct LimitsConfig {         // cgroup v2; said on the console where a controller is missing
  uint64_t memory_bytes = 0;  // memory.max; 0: no limit
  uint64_t pids = 0;          // pids.max
  double cpus = 0;            // cpu.max: processors' worth, 0.5 is half of one
  bool operator==(const LimitsConfig&) const = default;
};

struct ServiceRlimit {
  int resource = 0;
  rlimit limit{};
  bool operator==(const ServiceRlimit& other) const {
    return resource == other.resource && limit.rlim_cur == other.limit.rlim_cur &&
           limit.rlim_max == other.limit.rlim_max;
  }
};

struct ServiceConfig {
  std::string name;
  std::string exec;  // absolute, or searched in the service's PATH
  std::vector<std::string> args;
  Environment env;
  std::string env_file;            // K=V lines
  bool env_file_optional = false;  // "-/path"
  std::string cwd = "/";
  std::string user;                      // name or number; empty: root
  std::string group;                     // empty: the user's
  std::vector<std::string> groups;       // supplementary; empty: those of /etc/group
  std::optional<uint64_t> capabilities;  // kept, bit n for capability n; none: what the user has
  bool no_new_privs = false;
  std::vector<ServiceRlimit> rlimits;
  LimitsConfig limits;
  std::vector<std::string> after;      // start order, and reverse order of stopping
  std::vector<std::string> requires_;  // and these must be ready, and their failure is this one's
  ReadyConfig ready;
  std::optional<HealthConfig> health;
  RestartConfig restart;
  int stop_signal = 15;
  Milliseconds stop_timeout{10'000};
  int reload_signal = 1;
  bool main = false;     // its end is the machine's, its exit status the machine's
  bool oneshot = false;  // runs to its end; ready when that was 0
  bool wait_for_configure =
      false;               // starts when the host has sent its Configure, or had the time to
  bool on_demand = false;  // starts at the first connection to one of its sockets
  bool enabled = true;     // false: only `berth-init start` starts it
  std::vector<SocketConfig> sockets;
  std::string output = "log";  // "log", "console", "null", or the path of a file to append to
  bool block_on_full = false;  // of "log": it waits where its lines would push out unread ones
  // Not empty: it is not started, and shows as failed with this reason (config_decode.h). Of what
  // else stands here only the name can be trusted.
  std::string mistake;
  bool operator==(const ServiceConfig&) const = default;
};

struct ShutdownConfig {
  Milliseconds grace{10'000};        // from SIGTERM to all to SIGKILL, over all services' own
  Milliseconds agent_wait{1'000};    // for the agent to tell the host
  Milliseconds kill_wait{2'000};     // for what was killed to be gone
  Milliseconds finish_wait{20'000};  // for unmounts and sync
  bool operator==(const ShutdownConfig&) const = default;
};

struct LogConfig {
  // Of what PID 1 itself says.
  LogLevel level = LogLevel::kInfo;
  int lines_per_minute =
      10;  // about one service, errors not counted; more are counted and left out
  // Of the guest's log. The image's alone: they are made at boot.
  uint64_t ring_bytes = uint64_t{4} << 20;
  bool syslog = true;  // /dev/log
  bool operator==(const LogConfig&) const = default;
};

struct TimeConfig {
  bool sync = true;  // the host sets the clock
  bool operator==(const TimeConfig&) const = default;
};

struct Config {
  std::string hostname;
  std::vector<std::string> modules;
  std::vector<std::pair<std::string, std::string>> sysctls;  // "net.ipv4.ip_forward" → "1"
  std::vector<MountConfig> mounts;
  NetworkConfig network;
  std::vector<FileConfig> files;
  std::vector<UserConfig> users;
  Environment environment;              // of every service
  std::vector<ServiceConfig> services;  // in an order that `after` and `requires` admit
  std::vector<HealthCheck> checks;      // the agent's; a service's own stand with it
  TimeConfig time;
  ShutdownConfig shutdown;
  LogConfig log;
  Milliseconds configure_timeout{5'000};  // from boot: then services that wait for it start anyway
  bool operator==(const Config&) const = default;
};

}  // namespace berth::init

#endif  // BERTH_INIT_CONFIG_H_
