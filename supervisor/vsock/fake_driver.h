// SPDX-License-Identifier: Apache-2.0
//
// For tests: a guest's virtio-vsock driver over RAM of this process. Behaves well unless told
// otherwise; every field of the rings can be reached to misbehave. One thread.
#ifndef BERTH_SUPERVISOR_VSOCK_FAKE_DRIVER_H_
#define BERTH_SUPERVISOR_VSOCK_FAKE_DRIVER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/vsock/device.h"
#include "supervisor/vsock/guest_memory.h"
#include "supervisor/vsock/packet.h"
#include "supervisor/vsock/virtqueue.h"

namespace berth::vsock {

// A packet as it lies in the guest's rx buffer.
struct Packet {
  PacketHeader header;
  std::string payload;
};

class FakeDriver {
 public:
  static constexpr uint32_t kQueueSize = 128;
  static constexpr uint64_t kRamAddress = 0x100000;
  static constexpr size_t kRamBytes = 4 << 20;
  static constexpr size_t kBufferBytes = 8192;  // of each rx and tx buffer, with the header

  static constexpr uint16_t kNext = 1;
  static constexpr uint16_t kWrite = 2;
  static constexpr uint16_t kIndirect = 4;

  struct Descriptor {
    uint64_t address;
    uint32_t bytes;
    uint16_t flags;
    uint16_t next;
  };
  struct UsedElement {
    uint32_t head;
    uint32_t bytes;
  };

  FakeDriver(bool event_idx, bool indirect);

  std::span<std::byte> ram() { return {ram_.base(), kRamBytes}; }
  GuestMemory Memory() { return GuestMemory::Over(ram(), kRamAddress); }
  Virtqueue::Layout LayoutOf(uint32_t ring) const;

  // Raw access. Ring is kRxRing or kTxRing.
  Descriptor& descriptor(uint32_t ring, size_t index);
  Descriptor& indirect(uint32_t ring, size_t slot, size_t index);  // a table of 4 for each slot
  uint64_t IndirectAddress(uint32_t ring, size_t slot) const;
  uint64_t BufferAddress(uint32_t ring, size_t slot) const;
  std::byte* At(uint64_t guest_address) { return ram_.base() + (guest_address - kRamAddress); }
  uint16_t& available_flags(uint32_t ring);
  uint16_t& available_index(uint32_t ring);
  uint16_t& available_entry(uint32_t ring, size_t slot);
  uint16_t& used_event(uint32_t ring);
  uint16_t& used_flags(uint32_t ring);
  uint16_t& used_index(uint32_t ring);
  UsedElement& used_element(uint32_t ring, size_t slot);
  uint16_t& available_event(uint32_t ring);

  // Offers one more rx buffer.
  void AddRx(size_t count = 1);
  // Offers a packet: in one buffer, or header and payload apart, directly or through an indirect
  // table. header.len is sent as it is.
  enum class Shape { kOne, kApart, kIndirect };
  void Send(const PacketHeader& header, std::string_view payload = {}, Shape shape = Shape::kApart);

  // The packets that came since the last call; offers their buffers again if `refill`.
  std::vector<Packet> Receive(bool refill = true);
  // How many tx chains the device is done with, in all.
  uint16_t tx_done() { return used_index(kTxRing); }
  // Starts anew, as after a reset.
  void Reset();

 private:
  std::byte* RingAt(uint32_t ring, size_t offset) const;
  template <typename T>
  T& Field(uint32_t ring, size_t offset) {
    return *reinterpret_cast<T*>(RingAt(ring, offset));
  }
  void Offer(uint32_t ring, uint16_t head);

  bool event_idx_;
  bool indirect_;
  Mapping ram_;  // mapped, so that pages nobody touches cost nothing
  uint16_t rx_offered_ = 0;
  uint16_t rx_seen_ = 0;
  uint16_t tx_offered_ = 0;
};

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_FAKE_DRIVER_H_
