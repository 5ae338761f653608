// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/fake_driver.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

namespace berth::vsock {

namespace {

// Guest RAM: for each ring its areas, then the buffers of both.
constexpr size_t kRingStride = 0x10000;
constexpr size_t kDescriptors = 0;
constexpr size_t kAvailable = 0x2000;
constexpr size_t kUsed = 0x4000;
constexpr size_t kIndirectTables = 0x6000;
constexpr size_t kBuffers = kRingCount * kRingStride;
constexpr size_t kIndirectEntries = 4;
constexpr size_t kEntries = 4;  // where ring entries start, behind flags and index

static_assert(kBuffers + kRingCount * FakeDriver::kQueueSize * FakeDriver::kBufferBytes <=
              FakeDriver::kRamBytes);

}  // namespace

FakeDriver::FakeDriver(bool event_idx, bool indirect)
    : event_idx_(event_idx),
      indirect_(indirect),
      ram_(static_cast<std::byte*>(mmap(nullptr, kRamBytes, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)),
           kRamBytes) {
  if (ram_.base() == MAP_FAILED) abort();
}

std::byte* FakeDriver::RingAt(uint32_t ring, size_t offset) const {
  return ram_.base() + ring * kRingStride + offset;
}

Virtqueue::Layout FakeDriver::LayoutOf(uint32_t ring) const {
  const uint64_t base = kRamAddress + ring * kRingStride;
  return {.size = kQueueSize,
          .descriptors = base + kDescriptors,
          .available = base + kAvailable,
          .used = base + kUsed,
          .event_idx = event_idx_,
          .indirect = indirect_};
}

FakeDriver::Descriptor& FakeDriver::descriptor(uint32_t ring, size_t index) {
  return Field<Descriptor>(ring, kDescriptors + index * sizeof(Descriptor));
}
FakeDriver::Descriptor& FakeDriver::indirect(uint32_t ring, size_t slot, size_t index) {
  const size_t entry = slot * kIndirectEntries + index;
  return Field<Descriptor>(ring, kIndirectTables + entry * sizeof(Descriptor));
}
uint64_t FakeDriver::IndirectAddress(uint32_t ring, size_t slot) const {
  return kRamAddress + ring * kRingStride + kIndirectTables +
         slot * kIndirectEntries * sizeof(Descriptor);
}
uint64_t FakeDriver::BufferAddress(uint32_t ring, size_t slot) const {
  return kRamAddress + kBuffers + (ring * kQueueSize + slot) * kBufferBytes;
}
uint16_t& FakeDriver::available_flags(uint32_t ring) { return Field<uint16_t>(ring, kAvailable); }
uint16_t& FakeDriver::available_index(uint32_t ring) {
  return Field<uint16_t>(ring, kAvailable + 2);
}
uint16_t& FakeDriver::available_entry(uint32_t ring, size_t slot) {
  return Field<uint16_t>(ring, kAvailable + kEntries + slot * sizeof(uint16_t));
}
uint16_t& FakeDriver::used_event(uint32_t ring) { return available_entry(ring, kQueueSize); }
uint16_t& FakeDriver::used_flags(uint32_t ring) { return Field<uint16_t>(ring, kUsed); }
uint16_t& FakeDriver::used_index(uint32_t ring) { return Field<uint16_t>(ring, kUsed + 2); }
FakeDriver::UsedElement& FakeDriver::used_element(uint32_t ring, size_t slot) {
  return Field<UsedElement>(ring, kUsed + kEntries + slot * sizeof(UsedElement));
}
uint16_t& FakeDriver::available_event(uint32_t ring) {
  return Field<uint16_t>(ring, kUsed + kEntries + kQueueSize * sizeof(UsedElement));
}

void FakeDriver::Offer(uint32_t ring, uint16_t head) {
  available_entry(ring, available_index(ring) % kQueueSize) = head;
  ++available_index(ring);
}

void FakeDriver::AddRx(size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const uint16_t slot = rx_offered_++ % kQueueSize;
    descriptor(kRxRing, slot) = {BufferAddress(kRxRing, slot), kBufferBytes, kWrite, 0};
    Offer(kRxRing, slot);
  }
}

void FakeDriver::Send(const PacketHeader& header, std::string_view payload, Shape shape) {
  // Two descriptors a packet, so half as many packets as descriptors fit.
  const uint16_t slot = tx_offered_++ % (kQueueSize / 2);
  const auto head = static_cast<uint16_t>(slot * 2);
  const uint64_t address = BufferAddress(kTxRing, slot);
  payload = payload.substr(0, kBufferBytes - kPacketHeaderBytes);
  std::memcpy(At(address), &header, kPacketHeaderBytes);
  payload.copy(reinterpret_cast<char*>(At(address)) + kPacketHeaderBytes, payload.size());
  const auto payload_bytes = static_cast<uint32_t>(payload.size());
  const Descriptor first{address, kPacketHeaderBytes, kNext, static_cast<uint16_t>(head + 1)};
  const Descriptor second{address + kPacketHeaderBytes, payload_bytes, 0, 0};
  switch (shape) {
    case Shape::kOne:
      descriptor(kTxRing, head) = {address,
                                   static_cast<uint32_t>(kPacketHeaderBytes) + payload_bytes, 0, 0};
      break;
    case Shape::kApart:
      descriptor(kTxRing, head) = first;
      descriptor(kTxRing, head + 1U) = second;
      break;
    case Shape::kIndirect:
      indirect(kTxRing, slot, 0) = {first.address, first.bytes, kNext, 1};
      indirect(kTxRing, slot, 1) = second;
      descriptor(kTxRing, head) = {IndirectAddress(kTxRing, slot), 2 * sizeof(Descriptor),
                                   kIndirect, 0};
      break;
  }
  Offer(kTxRing, head);
}

std::vector<Packet> FakeDriver::Receive(bool refill) {
  std::vector<Packet> packets;
  while (rx_seen_ != used_index(kRxRing)) {
    const UsedElement used = used_element(kRxRing, rx_seen_++ % kQueueSize);
    const std::byte* buffer = At(BufferAddress(kRxRing, used.head));
    Packet& packet = packets.emplace_back();
    std::memcpy(&packet.header, buffer, kPacketHeaderBytes);
    packet.payload.assign(reinterpret_cast<const char*>(buffer) + kPacketHeaderBytes,
                          used.bytes - kPacketHeaderBytes);
    if (refill) AddRx();
  }
  return packets;
}

void FakeDriver::Reset() {
  madvise(ram_.base(), kRamBytes, MADV_DONTNEED);  // zeroes it
  rx_offered_ = 0;
  rx_seen_ = 0;
  tx_offered_ = 0;
}

}  // namespace berth::vsock
