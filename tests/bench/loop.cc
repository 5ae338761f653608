// SPDX-License-Identifier: Apache-2.0
//
// One thing that the benchmarks measure, again and again, for a profile of it.
// usage: bench-loop VSOCK_SOCKET exec|spawn|stdout|raw-out|stdin|raw-in COUNT
// COUNT is in sessions, or in MiB. The guest runs bench-peer at port 7000.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "tests/bench/vsock_client.h"

namespace berth::bench {
namespace {

constexpr const char* kPeer = "/tmp/bench-peer";

int Main(const std::string& vsock, const std::string& what, uint64_t count) {
  const uint64_t bytes = count << 20;
  if (what == "exec") {
    for (uint64_t i = 0; i < count; ++i) {
      if (RunExec(vsock, {"/bin/true"}).code != 0) Die("true failed");
    }
  } else if (what == "stdout") {
    if (RunExec(vsock, {kPeer, "--source", std::to_string(bytes)}).stdout_bytes != bytes) {
      Die("stdout came short");
    }
  } else if (what == "stdin") {
    if (RunExec(vsock, {kPeer, "--sink", std::to_string(bytes)}, bytes).code != 0) {
      Die("stdin came short");
    }
  } else {
    const UniqueFd peer = Dial(vsock, kPeerPort);
    if (what == "raw-out") {
      MoveRaw(peer.get(), 'o', bytes);
    } else if (what == "raw-in") {
      MoveRaw(peer.get(), 'i', bytes);
    } else if (what == "spawn") {
      for (uint64_t i = 0; i < count; ++i) {
        char done = 0;
        SendBytes(peer.get(), "s", 1);
        ReceiveBytes(peer.get(), &done, 1);
      }
    } else {
      Die("'" + what + "' is nothing to loop over");
    }
  }
  return 0;
}

}  // namespace
}  // namespace berth::bench

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("usage: bench-loop VSOCK_SOCKET exec|spawn|stdout|raw-out|stdin|raw-in COUNT\n",
               stderr);
    return 2;
  }
  try {
    return berth::bench::Main(argv[1], argv[2], std::strtoull(argv[3], nullptr, 10));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench-loop: %s\n", error.what());
    return 1;
  }
}
