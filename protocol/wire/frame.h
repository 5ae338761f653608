// SPDX-License-Identifier: Apache-2.0
//
// Frames: what a Berth connection consists of, in both directions.
//
//   offset  size  field
//   0       4     length   bytes of payload, little-endian; the header is not counted
//   4       1     kind     1 message, 2 data, 3 end
//   5       1     stream   message: 0. data, end: 0 stdin, 1 stdout, 2 stderr
//   6       2     zero
//   8       n     payload  message: one serialized berth.v1.Envelope
//                          data: raw bytes, at least one
//                          end: none
//
// `end` half-closes its stream: no data frame of that stream follows. The borders of data frames
// mean nothing: a stream is its bytes. Anything else than this table says is a protocol error
// (EPROTO), after which the connection is of no use: there is no way to find the next frame.
#ifndef BERTH_PROTOCOL_WIRE_FRAME_H_
#define BERTH_PROTOCOL_WIRE_FRAME_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

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

// What FrameBuffer hands out: a whole message or end frame, or a piece of a data frame. Valid until
// the buffer's next call.
struct FrameView {
  FrameKind kind{};
  Stream stream{};
  std::span<const std::byte> payload;
};

// Cuts a byte stream into frames: bytes go in by Prepare and Commit, frames come out by Next. Data
// frames come out in pieces, as their bytes arrive, so that it never holds more than kPieceBytes of
// them: a peer that announces large frames on many connections costs no memory. For a message it
// grows to the length of a header that passed its checks, and shrinks again behind it.
class FrameBuffer {
 public:
  static constexpr size_t kPieceBytes = 64 * 1024;

  // `max_message_bytes`: of a message's payload, at most kMaxMessageBytes.
  explicit FrameBuffer(size_t max_message_bytes = kMaxMessageBytes)
      : max_message_bytes_(max_message_bytes) {}

  // Where the next bytes go; never empty while Next has returned nullopt.
  std::span<std::byte> Prepare();
  void Commit(size_t bytes);

  // The next frame or piece, or nullopt where more bytes are needed. After an error every call
  // gives that error.
  Result<std::optional<FrameView>> Next();

  // True between the first and the last byte of a frame: where the frame deadline runs.
  bool InsideFrame() const { return end_ > begin_ || data_left_ > 0; }

 private:
  static constexpr size_t kInitialBytes = 4 * 1024;

  std::span<const std::byte> Unread() const { return {bytes_.get() + begin_, end_ - begin_}; }
  // Of the frame that begins at begin_, whose header is there whole.
  Result<FrameHeader> NextHeader() const;
  size_t WantedBytes() const;

  const size_t max_message_bytes_;
  std::unique_ptr<std::byte[]> bytes_;
  size_t capacity_ = 0;
  size_t begin_ = 0;      // first byte not yet handed out
  size_t end_ = 0;        // behind the last byte read
  size_t data_left_ = 0;  // bytes of the current data frame that were not handed out yet
  Stream data_stream_{};
  std::optional<Error> error_;
};

}  // namespace berth::wire

#endif  // BERTH_PROTOCOL_WIRE_FRAME_H_
