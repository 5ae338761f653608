// SPDX-License-Identifier: Apache-2.0
//
// The texts that stand for values in init.toml: durations, sizes, signals, addresses. Pure
// functions. The error is the end of a sentence that begins with the value: "not a duration …".
#ifndef BERTH_INIT_CONFIG_VALUES_H_
#define BERTH_INIT_CONFIG_VALUES_H_

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>

#include "init/config.h"

namespace berth::init {

template <typename T>
using Parsed = std::expected<T, std::string>;

inline constexpr Milliseconds kMaxDuration{std::chrono::hours(24)};

Parsed<Milliseconds> ParseDuration(std::string_view text);  // "500ms", "10s", "2m", "1h", "10"
Parsed<uint64_t> ParseSize(std::string_view text);          // "64M", "1G", "4096"
Parsed<int> ParseSignal(std::string_view text);             // "SIGTERM", "TERM", "15"
std::string SignalName(int number);                         // "SIGTERM", "signal 40"
Parsed<mode_t> ParseMode(std::string_view text);            // "0644"
Parsed<int> ParseCapability(std::string_view text);         // "CAP_NET_ADMIN", "net_admin"
Parsed<int> ParseRlimitName(std::string_view text);         // "nofile": RLIMIT_NOFILE
Parsed<rlimit> ParseRlimit(std::string_view text);          // "1024", "1024:4096", "unlimited"

enum class Family { kInet, kInet6 };
Parsed<Family> ParseAddress(std::string_view text);  // "10.0.0.1", "fd00::1"
Parsed<Family> ParseCidr(std::string_view text);     // "10.0.0.2/24", "fd00::2/64"

// "tcp:0.0.0.0:80", "tcp:[::]:80", "udp:…", "unix:/run/x.sock", "vsock:PORT". Whether it is a
// Unix socket.
Parsed<bool> ParseListen(std::string_view text);

// "/etc/x": absolute, with no "..". `what` names it: "a path", "a directory".
Parsed<std::string> ParsePath(std::string_view text);

// MS_* of a mount option that is a flag; 0 sets nothing, and nullopt where it is the file system's.
struct MountFlag {
  std::string_view name;
  unsigned long set;
  unsigned long clear;
};
const MountFlag* FindMountFlag(std::string_view option);
// File systems that stand on no device and no host's directory.
bool IsNodevType(std::string_view type);

// The candidate that a misspelt word was meant to be; empty where none is near.
std::string_view Nearest(std::string_view word, std::span<const std::string_view> candidates);
// "; did you mean \"X\"?", or nothing.
std::string DidYouMean(std::string_view word, std::span<const std::string_view> candidates);

// `"text"`, cut after some 60 characters, control characters replaced.
std::string Quoted(std::string_view text);

}  // namespace berth::init

#endif  // BERTH_INIT_CONFIG_VALUES_H_
