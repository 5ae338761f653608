// SPDX-License-Identifier: Apache-2.0
//
// The command line of berth-vsock.
#ifndef BERTH_SUPERVISOR_VSOCK_OPTIONS_H_
#define BERTH_SUPERVISOR_VSOCK_OPTIONS_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "protocol/base/result.h"

namespace berth::vsock {

inline constexpr std::string_view kUsage =
    "usage: berth-vsock --vhost-socket PATH --socket PATH --cid N [--notify-fd N]\n"
    "                   [--pairs-fd N]\n"
    "\n"
    "A vhost-user-vsock device for one VM.\n"
    "  --vhost-socket PATH  where the hypervisor listens (its chardev is the server)\n"
    "  --socket PATH        where host clients say CONNECT <port>; the guest dialling host port P\n"
    "                       is connected to PATH_P\n"
    "  --cid N              the guest's context id, 3 to 4294967294\n"
    "  --notify-fd N        gets the line \"ready\" once both sockets are there\n"
    "  --pairs-fd N         a memfd that keeps the open connections' ports for the next device of "
    "the\n"
    "                       same VM, which resets them\n";

struct Options {
  std::string vhost_socket;
  std::string socket;
  uint64_t cid = 0;
  int notify_fd = -1;
  int pairs_fd = -1;
  bool help = false;
};

// `arguments` without the program's name. EINVAL with what is wrong in the detail.
Result<Options> ParseOptions(std::span<char* const> arguments);

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_OPTIONS_H_
