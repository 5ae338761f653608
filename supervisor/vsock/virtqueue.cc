// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/virtqueue.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <string>

#include "supervisor/vsock/iov.h"

namespace berth::vsock {

// Virtio 1.x rings are little-endian whatever the guest; so are all hosts Berth runs on.
static_assert(std::endian::native == std::endian::little);

namespace {

struct Descriptor {
  uint64_t address;
  uint32_t bytes;
  uint16_t flags;
  uint16_t next;
};
static_assert(sizeof(Descriptor) == 16);

constexpr uint16_t kDescNext = 1;
constexpr uint16_t kDescWrite = 2;
constexpr uint16_t kDescIndirect = 4;

constexpr uint16_t kAvailNoInterrupt = 1;
constexpr uint16_t kUsedNoNotify = 1;

struct UsedElement {
  uint32_t head;
  uint32_t bytes;
};

// Both rings: u16 flags, u16 idx, entries, and u16 event index behind them.
constexpr size_t kFlagsOffset = 0;
constexpr size_t kIndexOffset = 2;
constexpr size_t kEntriesOffset = 4;
constexpr size_t kAvailableEntryBytes = 2;
constexpr size_t kEventBytes = 2;

size_t AvailableBytes(size_t size) {
  return kEntriesOffset + size * kAvailableEntryBytes + kEventBytes;
}
size_t UsedBytes(size_t size) { return kEntriesOffset + size * sizeof(UsedElement) + kEventBytes; }

std::atomic_ref<uint16_t> Word(std::byte* at) {
  return std::atomic_ref<uint16_t>(*reinterpret_cast<uint16_t*>(at));
}

bool Aligned(const std::byte* at, size_t to) { return reinterpret_cast<uintptr_t>(at) % to == 0; }

// Whether moving from `before` to `now` passed `event` (virtio 1.2, 2.7.7.2), modulo 2^16.
bool Passed(uint16_t event, uint16_t now, uint16_t before) {
  return static_cast<uint16_t>(now - event - 1) < static_cast<uint16_t>(now - before);
}

}  // namespace

Result<Virtqueue> Virtqueue::Create(const GuestMemory* memory, const Layout& layout,
                                    uint16_t base) {
  if (layout.size == 0 || layout.size > kMaxQueueSize || !std::has_single_bit(layout.size)) {
    return Fail("start-queue", EINVAL, "queue size " + std::to_string(layout.size));
  }
  Virtqueue queue;
  queue.memory_ = memory;
  queue.layout_ = layout;
  queue.descriptors_ = memory->AtUser(layout.descriptors, layout.size * sizeof(Descriptor));
  queue.available_ = memory->AtUser(layout.available, AvailableBytes(layout.size));
  queue.used_ = memory->AtUser(layout.used, UsedBytes(layout.size));
  if (queue.descriptors_ == nullptr || queue.available_ == nullptr || queue.used_ == nullptr) {
    return Fail("start-queue", EFAULT, "a ring lies outside of guest memory");
  }
  if (!Aligned(queue.descriptors_, 16) || !Aligned(queue.available_, 2) ||
      !Aligned(queue.used_, 4)) {
    return Fail("start-queue", EINVAL, "a ring is not aligned");
  }
  queue.last_available_ = base;
  queue.seen_available_ = base;
  // The used index lives in guest memory; every chain taken before was also given back.
  queue.next_used_ = Word(queue.used_ + kIndexOffset).load(std::memory_order_relaxed);
  return queue;
}

uint16_t Virtqueue::LoadAvailable() const {
  // Acquire: entries and descriptors are read after the index that publishes them.
  return Word(available_ + kIndexOffset).load(std::memory_order_acquire);
}

Virtqueue::Popped Virtqueue::Break(const char* reason) {
  if (broken_ == nullptr) broken_ = reason;
  return Popped::kBroken;
}

Virtqueue::Popped Virtqueue::Pop(Chain* chain) {
  if (broken_ != nullptr) return Popped::kBroken;
  if (last_available_ == seen_available_) {
    const uint16_t available = LoadAvailable();
    if (static_cast<uint16_t>(available - last_available_) > layout_.size) {
      return Break("the available index is further ahead than the ring is long");
    }
    seen_available_ = available;
    if (last_available_ == seen_available_) return Popped::kEmpty;
  }
  const size_t slot = last_available_ & (layout_.size - 1);
  const uint16_t head = Word(available_ + kEntriesOffset + slot * kAvailableEntryBytes)
                            .load(std::memory_order_relaxed);
  if (head >= layout_.size) return Break("a chain starts outside of the descriptor table");
  chain->head_ = head;
  chain->readable_ = 0;
  chain->count_ = 0;
  if (!Walk(descriptors_, layout_.size, head, false, chain)) return Popped::kBroken;
  ++last_available_;
  return Popped::kChain;
}

bool Virtqueue::Walk(const std::byte* table, uint32_t entries, uint16_t index, bool nested,
                     Chain* chain) {
  // A chain visits no descriptor twice and is no longer than the queue (virtio 1.2, 2.7.5.3.1): one
  // that is, loops or keeps us busy with an indirect table of a gigabyte.
  const uint32_t longest = std::min(entries, layout_.size);
  for (uint32_t visited = 0; visited < longest; ++visited) {
    Descriptor descriptor;
    CopyOnce(&descriptor, table + size_t{index} * sizeof(Descriptor), sizeof(descriptor));
    if ((descriptor.flags & kDescIndirect) != 0) {
      if (!layout_.indirect || nested) return Break("indirect where it is not allowed"), false;
      if ((descriptor.flags & kDescNext) != 0 || descriptor.bytes == 0 ||
          descriptor.bytes % sizeof(Descriptor) != 0) {
        return Break("a bad indirect descriptor"), false;
      }
      const std::byte* indirect = memory_->At(descriptor.address, descriptor.bytes);
      if (indirect == nullptr) return Break("an indirect table outside of guest memory"), false;
      return Walk(indirect, static_cast<uint32_t>(descriptor.bytes / sizeof(Descriptor)), 0, true,
                  chain);
    }
    const bool writable = (descriptor.flags & kDescWrite) != 0;
    if (!Append(descriptor.address, descriptor.bytes, writable, chain)) return false;
    if ((descriptor.flags & kDescNext) == 0) return true;
    index = descriptor.next;
    if (index >= entries) return Break("a chain leaves the descriptor table"), false;
  }
  return Break("a chain that loops, or is longer than its ring"), false;
}

bool Virtqueue::Append(uint64_t address, uint32_t bytes, bool writable, Chain* chain) {
  if (!writable && chain->count_ > chain->readable_) {
    return Break("a readable buffer behind a writable one"), false;
  }
  while (bytes > 0) {
    if (chain->count_ == chain->parts_.size()) return Break("a chain of too many buffers"), false;
    const std::span<std::byte> run = memory_->Run(address, bytes);
    if (run.empty()) return Break("a buffer outside of guest memory"), false;
    chain->parts_[chain->count_++] = iovec{run.data(), run.size()};
    if (!writable) ++chain->readable_;
    address += run.size();
    bytes -= static_cast<uint32_t>(run.size());
  }
  return true;
}

void Virtqueue::Push(uint16_t head, uint32_t written) {
  const size_t slot = next_used_ & (layout_.size - 1);
  const UsedElement element{head, written};
  std::memcpy(used_ + kEntriesOffset + slot * sizeof(element), &element, sizeof(element));
  ++next_used_;
  unsignalled_ = true;
  // Release: the element and the buffer are complete before the index that publishes them.
  Word(used_ + kIndexOffset).store(next_used_, std::memory_order_release);
}

bool Virtqueue::InterruptDue() {
  if (!unsignalled_) return false;
  unsignalled_ = false;
  // Full fence: the driver re-arms and then looks at our index; we publish and then look whether it
  // is armed.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  bool due = true;
  if (layout_.event_idx) {
    const size_t offset = kEntriesOffset + layout_.size * kAvailableEntryBytes;
    const uint16_t event = Word(available_ + offset).load(std::memory_order_relaxed);
    due = !signalled_valid_ || Passed(event, next_used_, signalled_used_);
  } else {
    due =
        (Word(available_ + kFlagsOffset).load(std::memory_order_relaxed) & kAvailNoInterrupt) == 0;
  }
  signalled_used_ = next_used_;
  signalled_valid_ = true;
  return due;
}

void Virtqueue::SuppressKicks() {
  // With EVENT_IDX an index that is not moved on is passed once and never again (in 2^16 chains).
  if (!layout_.event_idx)
    Word(used_ + kFlagsOffset).store(kUsedNoNotify, std::memory_order_relaxed);
}

bool Virtqueue::ArmKicks() {
  if (broken_ != nullptr) return true;
  if (layout_.event_idx) {
    const size_t offset = kEntriesOffset + layout_.size * sizeof(UsedElement);
    Word(used_ + offset).store(last_available_, std::memory_order_relaxed);
  } else {
    Word(used_ + kFlagsOffset).store(0, std::memory_order_relaxed);
  }
  // Full fence, for the same race as in InterruptDue.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return LoadAvailable() == last_available_;
}

}  // namespace berth::vsock
