// SPDX-License-Identifier: Apache-2.0
//
// Frames: what a Berth connection consists of, in both directions.
//
//   offset  size  field
//   0       4     length   bytes of payload, little-endian; the header is not counted
//   4       1     kind     1 message, 2 data, 3 end
//   5       1     stream   message: 0. data, end: 0 stdin, 1 stdout, 2 stderr; for a forward 0 to
//   the guest, 1 from it 6       2     zero 8       n     payload  message: one serialized
//   berth.v1.Envelope; data: raw bytes, at least one; end: none
//
// `end` half-closes its stream: no data frame of that stream follows. Anything else than this table
// says is a protocol error (EPROTO), after which the connection is of no use: there is no way to
// find the next frame.
#ifndef BERTH_PROTOCOL_WIRE_FRAME_H_
#define BERTH_PROTOCOL_WIRE_FRAME_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/wire/limits.h"

namespace berth::wire {

enum class FrameKind : uint8_t { kMessage = 1, kData = 2, kEnd = 3 };

enum class Stream : uint8_t { kStdin = 0, kStdout = 1, kStderr = 2 };

struct FrameHeader {
  FrameKind kind{};
  Stream stream{};
  uint32_t length = 0;  // bytes of payload
};

using HeaderBytes = std::array<std::byte, kFrameHeaderBytes>;

HeaderBytes EncodeHeader(const FrameHeader& header);

// Checks every field against the table and the limits above. EPROTO, or EMSGSIZE where the length
// is over its limit.
Result<FrameHeader> DecodeHeader(std::span<const std::byte, kFrameHeaderBytes> bytes);

// One frame in a FrameBuffer; valid until the buffer's next call.
struct FrameView {
  FrameKind kind{};
  Stream stream{};
  std::span<const std::byte> payload;
};

// Cuts a byte stream into frames: bytes go in by Prepare and Commit, frames come out by Next. It
// holds at most one whole frame and what was read beyond it, and grows only to the length of a
// header that passed its checks.
class FrameBuffer {
 public:
  // Where the next bytes go; never empty while Next has returned nullopt.
  std::span<std::byte> Prepare();
  void Commit(size_t bytes);

  // The next whole frame, or nullopt where more bytes are needed. After an error every call gives
  // that error.
  Result<std::optional<FrameView>> Next();

  // True between the first and the last byte of a frame: where the frame deadline runs.
  bool InsideFrame() const { return end_ > begin_; }

 private:
  static constexpr size_t kInitialBytes = 4 * 1024;

  std::vector<std::byte> bytes_;
  size_t begin_ = 0;  // first byte not yet handed out
  size_t end_ = 0;    // behind the last byte read
  std::optional<Error> error_;
};

}  // namespace berth::wire

#endif  // BERTH_PROTOCOL_WIRE_FRAME_H_
