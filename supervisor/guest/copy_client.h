// SPDX-License-Identifier: Apache-2.0
//
// The caller's side of a copy: moves the frames of protocol/files between a connection and this
// host's files, or the caller's stdin or stdout.
//
// It runs in the caller's thread with poll(2), under the caller's own rights. What the guest sends
// is bounded and checked, and a guest that is silent for wire::kCopyGuestTimeout is given up; a
// slow stdin or stdout is waited for.
#ifndef BERTH_SUPERVISOR_GUEST_COPY_CLIENT_H_
#define BERTH_SUPERVISOR_GUEST_COPY_CLIENT_H_

#include <cstdint>
#include <functional>
#include <string>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"
#include "protocol/files/tree_reader.h"
#include "protocol/files/tree_writer.h"
#include "protocol/proto/berth.pb.h"

namespace berth::guest {

struct CopyProgress {
  uint64_t bytes = 0;
  std::string_view path;  // below the source, raw
};

struct CopyHooks {
  // After each turn; also where nothing happened for a moment.
  std::function<void(const CopyProgress&)> progress;
  // What was left out of the source, or is to be known. Its texts are raw and bounded.
  std::function<void(const files::Note&)> note;
};

// `connection` is a dialled one on which Hello and CopyStart were sent. SIGHUP, SIGINT, SIGQUIT and
// SIGTERM end the copy and must not be handled in another thread. Errors:
//   guest               a Failure from the agent
//   handshake           no common generation, or no agent
//   session             ECONNRESET: the agent or the VM went away; ETIMEDOUT; EPROTO
//   checksum            EIO: what arrived is not what was sent
//   write-output        EPIPE: the reader of our stdout is gone
//   interrupted         EINTR: detail is "signal N"
//   any other           what this host's file system says
// What was copied whole before an error stays.
//
// `stdin_fd`: the reader is one OfStream of it; -1: it is not.
Result<v1::CopyDone> CopyToGuest(UniqueFd connection, files::TreeReader reader, int stdin_fd,
                                 const CopyHooks& hooks);
// `stdout_fd`: where the content goes if options.stream; else -1.
Result<v1::CopyDone> CopyFromGuest(UniqueFd connection, files::WriteOptions options, int stdout_fd,
                                   const CopyHooks& hooks);

}  // namespace berth::guest

#endif  // BERTH_SUPERVISOR_GUEST_COPY_CLIENT_H_
