// SPDX-License-Identifier: Apache-2.0
//
// A blocking client of a VM's vsock socket, for measuring: no event loop, no buffering, nothing
// between the clock and the system calls. Failures end the benchmark with the error.
#ifndef BERTH_TESTS_BENCH_VSOCK_CLIENT_H_
#define BERTH_TESTS_BENCH_VSOCK_CLIENT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/base/unique_fd.h"

namespace berth::bench {

// Throws std::runtime_error: a benchmark that lost a step has no result.
[[noreturn]] void Die(const std::string& what);

// Connects to guest port `port` through the Firecracker dialect of `vsock_socket`.
inline constexpr uint32_t kPeerPort = 7000;  // where the guest's bench-peer listens

UniqueFd Dial(const std::string& vsock_socket, uint32_t port);

void SendBytes(int fd, const void* data, size_t bytes);
void ReceiveBytes(int fd, void* data, size_t bytes);

struct ExecResult {
  int code = -1;
  uint64_t stdout_bytes = 0;
  int64_t started_ns = 0;  // from the call to ExecStarted
  int64_t total_ns = 0;    // from the call to ExecExited; the connection included
};

// One exec session over a connection of its own, with `stdin_bytes` bytes of stdin under the
// protocol's window.
ExecResult RunExec(const std::string& vsock_socket, const std::vector<std::string>& argv,
                   uint64_t stdin_bytes = 0);

// bench-peer's bulk commands over `peer`: `bytes` out of the guest ('o') or into it ('i'), to the
// last.
void MoveRaw(int peer, char direction, uint64_t bytes);

}  // namespace berth::bench

#endif  // BERTH_TESTS_BENCH_VSOCK_CLIENT_H_
