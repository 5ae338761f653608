// SPDX-License-Identifier: Apache-2.0
#include "protocol/wire/frame.h"

#include <algorithm>
#include <cstring>

namespace berth::wire {
namespace {

std::byte ByteOf(uint32_t value, int shift) {
  return static_cast<std::byte>((value >> shift) & 0xff);
}

uint32_t LittleEndian32(std::span<const std::byte, 4> bytes) {
  return std::to_integer<uint32_t>(bytes[0]) | std::to_integer<uint32_t>(bytes[1]) << 8 |
         std::to_integer<uint32_t>(bytes[2]) << 16 | std::to_integer<uint32_t>(bytes[3]) << 24;
}

std::unexpected<Error> Malformed(std::string detail) {
  return Fail("decode-frame", EPROTO, std::move(detail));
}

}  // namespace

HeaderBytes EncodeHeader(const FrameHeader& header) {
  return {ByteOf(header.length, 0),
          ByteOf(header.length, 8),
          ByteOf(header.length, 16),
          ByteOf(header.length, 24),
          static_cast<std::byte>(header.kind),
          static_cast<std::byte>(header.stream),
          std::byte{0},
          std::byte{0}};
}

Result<FrameHeader> DecodeHeader(std::span<const std::byte, kFrameHeaderBytes> bytes) {
  const uint32_t length = LittleEndian32(bytes.first<4>());
  const auto kind = std::to_integer<uint8_t>(bytes[4]);
  const auto stream = std::to_integer<uint8_t>(bytes[5]);
  if (bytes[6] != std::byte{0} || bytes[7] != std::byte{0}) {
    return Malformed("reserved bytes are not zero");
  }
  size_t limit = 0;
  switch (static_cast<FrameKind>(kind)) {
    case FrameKind::kMessage:
      if (stream != 0) return Malformed("a message frame on stream " + std::to_string(stream));
      limit = kMaxMessageBytes;
      break;
    case FrameKind::kData:
      if (length == 0) return Malformed("an empty data frame");
      limit = kMaxDataBytes;
      break;
    case FrameKind::kEnd:
      break;
    default:
      return Malformed("unknown frame kind " + std::to_string(kind));
  }
  if (stream > static_cast<uint8_t>(Stream::kStderr)) {
    return Malformed("unknown stream " + std::to_string(stream));
  }
  if (length > limit) {
    return Fail("decode-frame", EMSGSIZE,
                "a frame of kind " + std::to_string(kind) + " announces " + std::to_string(length) +
                    " bytes, the limit is " + std::to_string(limit));
  }
  return FrameHeader{static_cast<FrameKind>(kind), static_cast<Stream>(stream), length};
}

std::span<std::byte> FrameBuffer::Prepare() {
  if (begin_ == end_) begin_ = end_ = 0;
  size_t wanted = std::max(bytes_.size(), kInitialBytes);
  if (end_ - begin_ >= kFrameHeaderBytes) {
    const auto header = DecodeHeader(std::span(bytes_).subspan(begin_).first<kFrameHeaderBytes>());
    if (header) wanted = std::max(wanted, kFrameHeaderBytes + header->length);
  }
  // Move what is left to the front only where the rest of the frame would not fit behind it.
  if (begin_ > 0 && (end_ == bytes_.size() || begin_ + wanted > bytes_.size())) {
    std::memmove(bytes_.data(), bytes_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (bytes_.size() < wanted) bytes_.resize(wanted);
  return std::span(bytes_).subspan(end_);
}

void FrameBuffer::Commit(size_t bytes) { end_ += std::min(bytes, bytes_.size() - end_); }

Result<std::optional<FrameView>> FrameBuffer::Next() {
  if (error_) return std::unexpected(*error_);
  if (end_ - begin_ < kFrameHeaderBytes) return std::nullopt;
  const auto unread = std::span<const std::byte>(bytes_).subspan(begin_, end_ - begin_);
  const auto header = DecodeHeader(unread.first<kFrameHeaderBytes>());
  if (!header) {
    error_ = header.error();
    return std::unexpected(*error_);
  }
  if (unread.size() < kFrameHeaderBytes + header->length) return std::nullopt;
  begin_ += kFrameHeaderBytes + header->length;
  return FrameView{header->kind, header->stream, unread.subspan(kFrameHeaderBytes, header->length)};
}

}  // namespace berth::wire
