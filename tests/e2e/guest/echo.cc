// SPDX-License-Identifier: Apache-2.0
//
// A server in the guest for the tests of forwards: any number of connections, at a TCP port of the
// loopback or a Unix socket.
//
//   e2e-echo echo PORT|PATH         sends back what it reads, until its end, then closes
//   e2e-echo greet PORT|PATH FILE   says "hello", ends its side, and keeps what it reads in FILE
//
// Prints "ready" once it listens.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "protocol/base/unique_fd.h"
#include "protocol/base/unix_address.h"

namespace {

using berth::UniqueFd;

constexpr size_t kBufferBytes = 64 * 1024;

struct Peer {
  UniqueFd fd;
  std::string held;  // to be sent back
  bool ended = false;
};

UniqueFd Listen(const std::string& where) {
  UniqueFd fd;
  int bound = -1;
  if (where.starts_with('/')) {
    fd.Reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto address = berth::UnixAddress("listen", where);
    if (!address) return {};
    bound = bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address));
  } else {
    fd.Reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(std::atoi(where.c_str())));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bound = bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  }
  if (bound != 0 || listen(fd.get(), 1024) != 0) return {};
  return fd;
}

// False where the connection is over.
bool Serve(Peer& peer, int keep) {
  char chunk[kBufferBytes];
  if (!peer.ended && peer.held.empty()) {
    const ssize_t n = recv(peer.fd.get(), chunk, sizeof(chunk), MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN;
    if (n == 0) peer.ended = true;
    if (keep >= 0 && n > 0) return write(keep, chunk, static_cast<size_t>(n)) == n;
    peer.held.assign(chunk, static_cast<size_t>(n));
  }
  if (!peer.held.empty()) {
    const ssize_t n =
        send(peer.fd.get(), peer.held.data(), peer.held.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN;
    peer.held.erase(0, static_cast<size_t>(n));
  }
  return !peer.ended || !peer.held.empty();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 2 ? argv[1] : "";
  if (!(mode == "echo" && argc == 3) && !(mode == "greet" && argc == 4)) return 2;
  const rlimit files{.rlim_cur = 4096, .rlim_max = 4096};
  setrlimit(RLIMIT_NOFILE, &files);
  const UniqueFd listener = Listen(argv[2]);
  if (!listener) {
    perror("listen");
    return 1;
  }
  const UniqueFd keep(mode == "greet" ? open(argv[3], O_WRONLY | O_CREAT | O_CLOEXEC, 0644) : -1);
  std::vector<Peer> peers;
  puts("ready");
  fflush(stdout);
  for (;;) {
    std::vector<pollfd> polled{{.fd = listener.get(), .events = POLLIN, .revents = 0}};
    for (const Peer& peer : peers) {
      const auto events = static_cast<short>(peer.held.empty() ? POLLIN : POLLOUT);
      polled.push_back({.fd = peer.fd.get(), .events = events, .revents = 0});
    }
    if (poll(polled.data(), polled.size(), -1) < 0) return 1;
    for (size_t i = peers.size(); i-- > 0;) {
      if (polled[i + 1].revents == 0 || Serve(peers[i], keep.get())) continue;
      std::swap(peers[i], peers.back());
      peers.pop_back();
    }
    if (polled[0].revents == 0) continue;
    UniqueFd peer(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!peer) continue;
    if (keep) {
      send(peer.get(), "hello\n", 6, MSG_NOSIGNAL);
      shutdown(peer.get(), SHUT_WR);
    }
    peers.push_back({.fd = std::move(peer), .held = {}, .ended = false});
  }
}
