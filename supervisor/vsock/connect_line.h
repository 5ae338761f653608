// SPDX-License-Identifier: Apache-2.0
//
// The first line of a host client, in the dialect of Firecracker and Cloud Hypervisor: "CONNECT
// <port>\n", the port in decimal. The answer is "OK <host port>\n" once the guest has accepted, or
// end of file. A value parser; no I/O.
#ifndef BERTH_SUPERVISOR_VSOCK_CONNECT_LINE_H_
#define BERTH_SUPERVISOR_VSOCK_CONNECT_LINE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace berth::vsock {

struct ConnectLine {
  enum class Status { kWhole, kPartial, kInvalid };
  Status status;
  uint32_t port = 0;
  size_t bytes = 0;  // of the line, with its newline; what follows is the guest's
};

// Parses what a client has sent so far. Invalid as soon as no continuation can be valid; never
// partial from kMaxConnectLineBytes on.
ConnectLine ParseConnectLine(std::string_view sent);

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_CONNECT_LINE_H_
