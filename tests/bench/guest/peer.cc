// SPDX-License-Identifier: Apache-2.0
//
// The floors of exec and bulk transfer, served over raw vsock by a program inside the same guest as
// the agent. A connection takes one-byte commands:
//
//   e  echo: answers one byte                                       the floor of a round trip
//   s  posix_spawn and wait of `argv[2]`, then one byte             the floor of running a program
//   o  8 bytes little-endian follow: sends so many bytes            the floor of stdout
//   i  8 bytes little-endian follow: reads so many, then one byte   the floor of stdin
//
// usage: bench-peer PORT PROGRAM           one connection at a time: a benchmark wants nothing
// beside it
//        bench-peer --source|--sink BYTES  the same bulk loops over stdout and stdin, as a program
//        that the agent runs
#include <linux/vm_sockets.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "protocol/base/log.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

extern char** environ;

namespace {

constexpr size_t kChunkBytes = 64 * 1024;

bool ReadAll(int fd, void* out, size_t bytes) {
  auto* at = static_cast<char*>(out);
  while (bytes > 0) {
    const ssize_t n = read(fd, at, bytes);
    if (n <= 0) return false;
    at += n;
    bytes -= static_cast<size_t>(n);
  }
  return true;
}

bool SendAll(int fd, const char* data, size_t bytes) {
  while (bytes > 0) {
    const ssize_t n = send(fd, data, bytes, MSG_NOSIGNAL);
    if (n <= 0) return false;
    data += n;
    bytes -= static_cast<size_t>(n);
  }
  return true;
}

bool SpawnAndWait(const char* program) {
  pid_t pid = -1;
  char* argv[] = {const_cast<char*>(program), nullptr};
  if (posix_spawn(&pid, program, nullptr, nullptr, argv, environ) != 0) return false;
  int status = 0;
  return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// `move` takes at most kChunkBytes at a time until all are moved.
template <typename Move>
bool Bulk(int fd, Move move) {
  uint64_t left = 0;
  if (!ReadAll(fd, &left, sizeof(left))) return false;
  while (left > 0) {
    const size_t chunk = static_cast<size_t>(std::min<uint64_t>(left, kChunkBytes));
    if (!move(chunk)) return false;
    left -= chunk;
  }
  return true;
}

void Serve(int fd, const char* program) {
  std::vector<char> chunk(kChunkBytes, 'b');
  char command = 0;
  while (ReadAll(fd, &command, 1)) {
    bool ok = false;
    switch (command) {
      case 'e':
        ok = SendAll(fd, "e", 1);
        break;
      case 's':
        ok = SpawnAndWait(program) && SendAll(fd, "s", 1);
        break;
      case 'o':
        ok = Bulk(fd, [&](size_t n) { return SendAll(fd, chunk.data(), n); });
        break;
      case 'i':
        ok =
            Bulk(fd, [&](size_t n) { return ReadAll(fd, chunk.data(), n); }) && SendAll(fd, "i", 1);
        break;
      default:
        break;
    }
    if (!ok) return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--source") == 0) {
    const std::vector<char> chunk(kChunkBytes, 'b');
    for (uint64_t left = std::strtoull(argv[2], nullptr, 10); left > 0;) {
      const ssize_t n = write(STDOUT_FILENO, chunk.data(), std::min<uint64_t>(left, chunk.size()));
      if (n <= 0) return 1;
      left -= static_cast<uint64_t>(n);
    }
    return 0;
  }
  if (argc == 3 && std::strcmp(argv[1], "--sink") == 0) {
    std::vector<char> chunk(kChunkBytes);
    uint64_t left = std::strtoull(argv[2], nullptr, 10);
    for (ssize_t n = 0; (n = read(STDIN_FILENO, chunk.data(), chunk.size())) > 0;)
      left -= static_cast<uint64_t>(n);
    return left == 0 ? 0 : 1;
  }
  if (argc != 3) {
    berth::Log(berth::LogLevel::kError, "bench-peer", "usage: bench-peer PORT PROGRAM");
    return 2;
  }
  const berth::UniqueFd listener(socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_vm address = {};
  address.svm_family = AF_VSOCK;
  address.svm_cid = VMADDR_CID_ANY;
  address.svm_port = static_cast<uint32_t>(std::strtoul(argv[1], nullptr, 10));
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(listener.get(), 8) != 0) {
    berth::Log(berth::LogLevel::kError, "bench-peer", "listen: " + berth::ErrnoName(errno));
    return 1;
  }
  // Whoever started this waits for the line before dialling.
  [[maybe_unused]] const ssize_t n = write(STDOUT_FILENO, "listening\n", 10);
  for (;;) {
    const berth::UniqueFd peer(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (peer) Serve(peer.get(), argv[2]);
  }
}
