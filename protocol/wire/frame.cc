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

std::unexpected<Error> TooLong(uint8_t kind, uint32_t length, size_t limit) {
  return Fail("decode-frame", EMSGSIZE,
              "a frame of kind " + std::to_string(kind) + " announces " + std::to_string(length) +
                  " bytes, the limit is " + std::to_string(limit));
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
  if (length > limit) return TooLong(kind, length, limit);
  return FrameHeader{static_cast<FrameKind>(kind), static_cast<Stream>(stream), length};
}

Result<FrameHeader> FrameBuffer::NextHeader() const {
  BERTH_ASSIGN(const FrameHeader header, DecodeHeader(Unread().first<kFrameHeaderBytes>()));
  if (header.kind == FrameKind::kMessage && header.length > max_message_bytes_) {
    return TooLong(static_cast<uint8_t>(header.kind), header.length, max_message_bytes_);
  }
  return header;
}

// How much room the bytes from begin_ on need.
size_t FrameBuffer::WantedBytes() const {
  if (data_left_ > 0) return std::min(data_left_, kPieceBytes);
  if (Unread().size() < kFrameHeaderBytes) return kInitialBytes;
  const auto header = NextHeader();
  if (!header) return kInitialBytes;
  const size_t whole = kFrameHeaderBytes + header->length;
  return header->kind == FrameKind::kData ? std::min(whole, kPieceBytes) : whole;
}

std::span<std::byte> FrameBuffer::Prepare() {
  const size_t held = end_ - begin_;
  const size_t wanted = std::max(WantedBytes(), kInitialBytes);
  const bool shrink = capacity_ > kPieceBytes && wanted <= kPieceBytes && held <= kPieceBytes;
  if (capacity_ < wanted || shrink) {
    const size_t capacity = shrink ? kPieceBytes : wanted;
    auto larger = std::make_unique_for_overwrite<std::byte[]>(capacity);
    std::ranges::copy(Unread(), larger.get());
    bytes_ = std::move(larger);
    capacity_ = capacity;
    begin_ = 0;
    end_ = held;
  } else if (held == 0) {
    begin_ = end_ = 0;
  } else if (end_ == capacity_ || begin_ + wanted > capacity_) {
    // Only where the rest of the frame would not fit behind what is held.
    std::memmove(bytes_.get(), bytes_.get() + begin_, held);
    begin_ = 0;
    end_ = held;
  }
  return {bytes_.get() + end_, capacity_ - end_};
}

void FrameBuffer::Commit(size_t bytes) { end_ += std::min(bytes, capacity_ - end_); }

Result<std::optional<FrameView>> FrameBuffer::Next() {
  if (error_) return std::unexpected(*error_);
  if (data_left_ == 0) {
    if (Unread().size() < kFrameHeaderBytes) return std::nullopt;
    const auto header = NextHeader();
    if (!header) {
      error_ = header.error();
      return std::unexpected(*error_);
    }
    if (header->kind != FrameKind::kData) {
      if (Unread().size() < kFrameHeaderBytes + header->length) return std::nullopt;
      const auto payload = Unread().subspan(kFrameHeaderBytes, header->length);
      begin_ += kFrameHeaderBytes + header->length;
      return FrameView{header->kind, header->stream, payload};
    }
    begin_ += kFrameHeaderBytes;
    data_left_ = header->length;
    data_stream_ = header->stream;
  }
  const auto piece = Unread().first(std::min(Unread().size(), data_left_));
  if (piece.empty()) return std::nullopt;
  begin_ += piece.size();
  data_left_ -= piece.size();
  return FrameView{FrameKind::kData, data_stream_, piece};
}

}  // namespace berth::wire
