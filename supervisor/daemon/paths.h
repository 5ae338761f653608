// SPDX-License-Identifier: Apache-2.0
//
// Where things stand by default, and how Berth's programs find each other. Any thread.
#ifndef BERTH_SUPERVISOR_DAEMON_PATHS_H_
#define BERTH_SUPERVISOR_DAEMON_PATHS_H_

#include <string>

namespace berth::daemon {

inline constexpr const char* kDefaultSocket = "/run/berth/berthd.sock";
inline constexpr const char* kDefaultStateDir = "/var/lib/berth";

// `option` where it is not empty, else $BERTH_SOCKET, else kDefaultSocket.
std::string SocketPath(const std::string& option);

// The directory of berth-shim and berth-vsock: $BERTH_LIBEXEC_DIR, else the one of the running
// program.
std::string LibexecDir();

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_PATHS_H_
