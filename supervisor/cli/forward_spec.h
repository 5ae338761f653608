// SPDX-License-Identifier: Apache-2.0
//
// What `berth forward` is told: where to listen on the host, and where that leads in the guest.
//
//   PORT                      the same port at both ends
//   [BIND:]PORT:[HOST:]PORT   BIND, HOST: an address, [v6] in brackets, or localhost
//   PATH in place of either side: a Unix socket. What holds a '/' is a path.
//
// Pure functions; any thread.
#ifndef BERTH_SUPERVISOR_CLI_FORWARD_SPEC_H_
#define BERTH_SUPERVISOR_CLI_FORWARD_SPEC_H_

#include <cstdint>
#include <expected>
#include <nlohmann/json.hpp>
#include <string>

namespace berth::cli {

// A TCP port, or a Unix socket where `path` is not empty.
struct ForwardEnd {
  std::string host;
  uint16_t port = 0;
  std::string path;
  bool is_unix() const { return !path.empty(); }
  std::string Text() const;  // "127.0.0.1:80", "[::1]:80", "/run/db.sock"
};

struct ForwardSpec {
  ForwardEnd local;
  ForwardEnd remote;
};

// What is wrong with it, in the error.
std::expected<ForwardSpec, std::string> ParseForward(const std::string& text);

// PORT, HOST:PORT or PATH, of the guest.
std::expected<ForwardEnd, std::string> ParseForwardTarget(const std::string& text);

// The parameters of compute.vm.forward.
nlohmann::json ForwardParams(const std::string& vm, const ForwardEnd& remote);

}  // namespace berth::cli

#endif  // BERTH_SUPERVISOR_CLI_FORWARD_SPEC_H_
