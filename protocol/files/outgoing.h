// SPDX-License-Identifier: Apache-2.0
//
// Outgoing: the frames of one turn of a copy's sender, one behind the other in one buffer, so that
// a turn's work and memory are bounded. Filled, sent, cleared, filled again; one thread.
#ifndef BERTH_PROTOCOL_FILES_OUTGOING_H_
#define BERTH_PROTOCOL_FILES_OUTGOING_H_

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>

#include "protocol/base/result.h"
#include "protocol/proto/berth.pb.h"
#include "protocol/wire/channel.h"
#include "protocol/wire/frame.h"
#include "protocol/wire/limits.h"

namespace berth::files {

class Outgoing {
 public:
  static constexpr size_t kCapacityBytes = 256 * 1024;
  // A message of a copy has at most a name and a target. Less room than this: the turn is over.
  static constexpr size_t kRoomyBytes = 8 * 1024;
  // Both directions carry their data so.
  static constexpr wire::Stream kStream = wire::Stream::kStdout;

  bool Roomy() const { return kCapacityBytes - end_ >= kRoomyBytes; }
  bool empty() const { return end_ == 0; }
  std::span<const std::byte> bytes() const { return {bytes_.get(), end_}; }
  void Clear() { end_ = 0; }

  // Returns its payload, valid until Clear. ENOBUFS where it does not fit, which !Roomy() foresees.
  Result<std::span<const std::byte>> Push(const v1::Envelope& message) {
    BERTH_ASSIGN(const std::string frame, wire::EncodeMessage(message));
    if (frame.size() > kCapacityBytes - end_) return Fail("copy", ENOBUFS, "a message too long");
    std::memcpy(bytes_.get() + end_, frame.data(), frame.size());
    const std::span<const std::byte> payload(bytes_.get() + end_ + wire::kFrameHeaderBytes,
                                             frame.size() - wire::kFrameHeaderBytes);
    end_ += frame.size();
    return payload;
  }

  // Where data go; PushData makes a frame of the first `bytes` of it. Needs Roomy().
  std::span<std::byte> DataRoom() {
    return {bytes_.get() + end_ + wire::kFrameHeaderBytes,
            kCapacityBytes - end_ - wire::kFrameHeaderBytes};
  }
  void PushData(size_t bytes) {
    const wire::HeaderBytes header =
        wire::EncodeHeader({wire::FrameKind::kData, kStream, static_cast<uint32_t>(bytes)});
    std::ranges::copy(header, bytes_.get() + end_);
    end_ += wire::kFrameHeaderBytes + bytes;
  }

 private:
  std::unique_ptr<std::byte[]> bytes_ = std::make_unique_for_overwrite<std::byte[]>(kCapacityBytes);
  size_t end_ = 0;
};
static_assert(Outgoing::kCapacityBytes <= wire::kMaxDataBytes);

}  // namespace berth::files

#endif  // BERTH_PROTOCOL_FILES_OUTGOING_H_
