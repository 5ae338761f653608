// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/device.h"

#include <span>
#include <utility>

#include "supervisor/vsock/iov.h"
#include "supervisor/vsock/log.h"

namespace berth::vsock {

Result<> Device::SetMemory(GuestMemory memory) {
  // The old mapping goes last: rings point into it until they are started again.
  std::swap(memory_, memory);
  // All of them, also after one has failed: a ring that was not started again has let go of the old
  // one.
  Result<> all;
  for (uint32_t index = 0; index < kRingCount; ++index) {
    if (!rings_[index].started()) continue;
    if (auto started = StartRing(index); !started) all = std::move(started);
  }
  return all;
}

Result<> Device::SetRingBase(uint32_t index, uint16_t base) {
  BERTH_ASSIGN(const bool anew, rings_[index].SetBase(base));
  // QMP stop and cont go on where they stopped and keep their connections; a reset starts at
  // another place.
  if (anew) muxer_->DropAll();
  return {};
}

Result<> Device::StartRing(uint32_t index) {
  return rings_[index].Start(&memory_, (features_ & kFeatureEventIdx) != 0,
                             (features_ & kFeatureIndirect) != 0);
}

void Device::Work(TimePoint now) {
  work_left_ = false;
  if (Virtqueue* tx = rings_[kTxRing].running()) DrainTx(tx, now);
  if (Virtqueue* rx = rings_[kRxRing].running()) FillRx(rx, now);
  for (Ring& ring : rings_) ring.Interrupt();
  for (const uint32_t index : {kRxRing, kTxRing}) {
    rings_[index].ReportBroken(index == kRxRing ? "rx" : "tx");
  }
}

void Device::DrainTx(Virtqueue* tx, TimePoint now) {
  tx->SuppressKicks();
  Chain chain;
  for (int budget = kChainsPerPass; budget > 0;) {
    switch (tx->Pop(&chain)) {
      case Virtqueue::Popped::kBroken:
        return;
      case Virtqueue::Popped::kEmpty:
        if (tx->ArmKicks()) return;
        break;
      case Virtqueue::Popped::kChain:
        HandleTx(chain, now);
        tx->Push(chain.head(), 0);
        break;
    }
    --budget;
  }
  work_left_ = true;
}

void Device::HandleTx(const Chain& chain, TimePoint now) {
  PacketHeader header;
  if (!CopyFromIov(chain.readable(), std::as_writable_bytes(std::span(&header, 1)))) {
    return Log(Complaint::kPacket, "a packet is shorter than its header");
  }
  std::array<iovec, kMaxChainSegments> payload;
  const size_t count = SliceIov(chain.readable(), kPacketHeaderBytes, ~size_t{0}, payload.data());
  muxer_->OnPacket(header, std::span(payload).first(count), now);
}

void Device::FillRx(Virtqueue* rx, TimePoint now) {
  rx->SuppressKicks();
  Chain chain;
  std::array<iovec, kMaxChainSegments> room;
  for (int budget = kChainsPerPass; budget > 0 && muxer_->HasPacket(); --budget) {
    const Virtqueue::Popped popped = rx->Pop(&chain);
    if (popped == Virtqueue::Popped::kBroken) return;
    if (popped == Virtqueue::Popped::kEmpty) {
      // Only now do new buffers mean anything to us.
      if (rx->ArmKicks()) return;
      continue;
    }
    const size_t count = SliceIov(chain.writable(), kPacketHeaderBytes, ~size_t{0}, room.data());
    if (count == 0) {
      rx->Break("an rx buffer has no room behind the header");
      return;
    }
    const auto packet = muxer_->NextPacket(std::span(room).first(count), now);
    if (!packet) {
      rx->UndoPop();
      return;
    }
    CopyToIov(chain.writable(), std::as_bytes(std::span(&*packet, 1)));
    rx->Push(chain.head(), static_cast<uint32_t>(kPacketHeaderBytes + packet->len));
  }
  work_left_ = work_left_ || muxer_->HasPacket();
}

}  // namespace berth::vsock
