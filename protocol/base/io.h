// SPDX-License-Identifier: Apache-2.0
//
// Whole reads and writes on descriptors, with deadlines, for code that has no event loop.
#ifndef BERTH_PROTOCOL_BASE_IO_H_
#define BERTH_PROTOCOL_BASE_IO_H_

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth {

// Waits until `fd` has one of `events` (poll(2) bits, or an error or hang-up). ETIMEDOUT when the
// deadline passes.
Result<> PollFor(int fd, short events, Deadline deadline);

// Reads exactly out.size() bytes. ECONNRESET where the peer ends early, ETIMEDOUT at the deadline.
// `fd` may block or not: it is polled before each read.
Result<> ReadFull(int fd, std::span<std::byte> out, Deadline deadline);

// Writes all of `data`; sockets do not raise SIGPIPE.
Result<> WriteFull(int fd, std::span<const std::byte> data, Deadline deadline);
inline Result<> WriteFull(int fd, std::string_view text, Deadline deadline) {
  return WriteFull(fd, std::as_bytes(std::span(text)), deadline);
}

// The whole of a file of at most `max_bytes`; EFBIG where it is longer. Works on /proc and /sys.
Result<std::string> ReadFile(const char* path, size_t max_bytes);

struct FileOwner {
  uid_t uid = 0;
  gid_t gid = 0;
};

// Replaces `path` by `content`, durably: temporary file beside it, fsync, rename, fsync of the
// directory. A crash leaves the old file or the new one, never half. The file has `mode` whatever
// the umask, and has it and its owner before it has its name.
Result<> WriteFileAtomic(const std::string& path, std::string_view content, mode_t mode,
                         const std::optional<FileOwner>& owner = {});

// Writes `content` into an existing file (a /proc or /sys knob) with one write.
Result<> WriteKnob(const char* path, std::string_view content);

Result<> SetNonBlocking(int fd, bool on);

// Sends or takes one descriptor with one byte over a connected Unix socket (SCM_RIGHTS).
Result<> SendFd(int socket, int fd, Deadline deadline);
Result<UniqueFd> ReceiveFd(int socket, Deadline deadline);

}  // namespace berth

#endif  // BERTH_PROTOCOL_BASE_IO_H_
