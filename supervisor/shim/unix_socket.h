// SPDX-License-Identifier: Apache-2.0
//
// Listening Unix sockets bound to a path of a VM's directory. Blocking; any thread.
#ifndef BERTH_SUPERVISOR_SHIM_UNIX_SOCKET_H_
#define BERTH_SUPERVISOR_SHIM_UNIX_SOCKET_H_

#include <string>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::shim {

// Removes what stands at `path` if it is a socket, binds there with mode 0600 and listens. Close on
// exec, not blocking. Step "listen"; ENAMETOOLONG where the path does not fit a socket address.
Result<UniqueFd> ListenUnix(const std::string& path, int backlog);

}  // namespace berth::shim

#endif  // BERTH_SUPERVISOR_SHIM_UNIX_SOCKET_H_
