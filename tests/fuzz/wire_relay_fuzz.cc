// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as what comes over the framed connection of a forward, in two pieces: what reaches the
// plain side are data of its own stream, and nothing is held but the rest of a chunk.
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "protocol/wire/limits.h"
#include "protocol/wire/relay.h"

namespace {

using berth::UniqueFd;
using berth::wire::Relay;

struct Pair {
  Pair() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) abort();
    ours.Reset(ends[0]);
    theirs.Reset(ends[1]);
  }
  UniqueFd ours;
  UniqueFd theirs;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 64 * 1024) return 0;
  const size_t first = data[0] % size;
  const bool open_late = (data[1] & 1) != 0;
  Pair framed;
  Pair plain;
  berth::wire::RelayPool pool;
  Relay* opened = nullptr;
  Relay relay(pool,
              {.framed = framed.ours.get(),
               .source = plain.ours.get(),
               .sink = plain.ours.get(),
               .out = berth::wire::Stream::kStdin,
               .in = berth::wire::Stream::kStdout,
               .pipe_sink = {}},
              [&](const berth::v1::Envelope& message) -> berth::Result<> {
                if (message.has_failure()) abort();
                if (message.has_forwarded() && opened != nullptr) opened->Open();
                return {};
              });
  opened = &relay;
  if (!open_late) relay.Open();
  size_t got = 0;
  bool over = false;
  for (const std::string_view piece :
       {std::string_view(reinterpret_cast<const char*>(data), first),
        std::string_view(reinterpret_cast<const char*>(data) + first, size - first)}) {
    if (!piece.empty() && send(framed.theirs.get(), piece.data(), piece.size(), MSG_NOSIGNAL) < 0) {
      abort();
    }
    for (int rounds = 0; !over; ++rounds) {
      if (rounds > 1000) abort();
      const auto progress = relay.Round();
      over = !progress || *progress == Relay::Progress::kDone;
      if (pool.held() > berth::wire::RelayPool::kMaxChunkBytes) abort();
      if (progress && *progress == Relay::Progress::kWait) break;
    }
    char chunk[4096];
    for (ssize_t n; (n = read(plain.theirs.get(), chunk, sizeof(chunk))) > 0;) {
      got += static_cast<size_t>(n);
    }
  }
  if (got > size) abort();
  return 0;
}
