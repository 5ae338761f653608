// SPDX-License-Identifier: Apache-2.0
//
// The address of a Unix socket in the file system.
#ifndef BERTH_PROTOCOL_BASE_UNIX_ADDRESS_H_
#define BERTH_PROTOCOL_BASE_UNIX_ADDRESS_H_

#include <sys/socket.h>
#include <sys/un.h>

#include <string>
#include <string_view>

#include "protocol/base/result.h"

namespace berth {

// ENAMETOOLONG, as the failure of `step`, where the path does not fit (107 bytes).
inline Result<sockaddr_un> UnixAddress(Step step, std::string_view path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return Fail(step, ENAMETOOLONG, std::string(path));
  }
  path.copy(address.sun_path, path.size());
  return address;
}

}  // namespace berth

#endif  // BERTH_PROTOCOL_BASE_UNIX_ADDRESS_H_
