// SPDX-License-Identifier: Apache-2.0
//
// A split virtqueue from the device's side (virtio 1.2, section 2.7), over GuestMemory.
//
//   descriptor table  what buffers there are: address, length, flags, next      written by the
//   driver available ring    which chains the driver offers (heads), and how far       written by
//   the driver used ring         which chains the device is done with, and their lengths   written
//   by the device
//
// Each side tells the other where it wants to be woken: with EVENT_IDX by an index at the end of
// its ring, else by a flag. Everything the driver writes is hostile: a ring that breaks a rule
// marks the queue broken, once and until it is set up again; nothing else in the process suffers.
// One thread; owned by its Ring.
#ifndef BERTH_SUPERVISOR_VSOCK_VIRTQUEUE_H_
#define BERTH_SUPERVISOR_VSOCK_VIRTQUEUE_H_

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "protocol/base/result.h"
#include "supervisor/vsock/guest_memory.h"
#include "supervisor/vsock/limits.h"

namespace berth::vsock {

// A chain of buffers that the driver offers: device-readable parts first, then device-writable
// ones.
class Chain {
 public:
  uint16_t head() const { return head_; }
  std::span<const iovec> readable() const { return {parts_.data(), readable_}; }
  std::span<const iovec> writable() const {
    return {parts_.data() + readable_, count_ - readable_};
  }

 private:
  friend class Virtqueue;
  uint16_t head_ = 0;
  size_t readable_ = 0;
  size_t count_ = 0;
  std::array<iovec, kMaxChainSegments> parts_;  // the first count_ are set
};

class Virtqueue {
 public:
  struct Layout {
    uint32_t size = 0;  // entries; a power of two, at most kMaxQueueSize
    // Addresses in the hypervisor, as SET_VRING_ADDR gives them.
    uint64_t descriptors = 0;
    uint64_t available = 0;
    uint64_t used = 0;
    bool event_idx = false;
    bool indirect = false;
  };
  enum class Popped { kChain, kEmpty, kBroken };

  // Checks the whole of all three areas. `base` is the first available entry not yet taken.
  // `memory` must outlive the queue's use.
  static Result<Virtqueue> Create(const GuestMemory* memory, const Layout& layout, uint16_t base);

  Popped Pop(Chain* chain);
  // Gives back the chain popped last, untouched.
  void UndoPop() { --last_available_; }
  // Done with a chain into which `written` bytes went. The driver sees it at once, but is not
  // woken.
  void Push(uint16_t head, uint32_t written);

  // Whether the driver wants to be woken for what was pushed since the last call that said so.
  bool InterruptDue();
  // The driver need not kick: we look by ourselves.
  void SuppressKicks();
  // Asks for a kick at the next chain. False where one has come meanwhile: look again instead of
  // waiting.
  bool ArmKicks();

  // For a rule that only the device can see broken, such as an rx buffer too small for a header.
  Popped Break(const char* reason);
  // Why the queue is broken; nullptr while it is not.
  const char* broken() const { return broken_; }
  uint16_t base() const { return last_available_; }

 private:
  Virtqueue() = default;
  bool Walk(const std::byte* table, uint32_t entries, uint16_t index, bool nested, Chain* chain);
  bool Append(uint64_t address, uint32_t bytes, bool writable, Chain* chain);
  uint16_t LoadAvailable() const;

  const GuestMemory* memory_ = nullptr;
  Layout layout_;
  std::byte* descriptors_ = nullptr;
  std::byte* available_ = nullptr;
  std::byte* used_ = nullptr;
  uint16_t last_available_ = 0;  // next entry of the available ring to take
  uint16_t seen_available_ = 0;  // the driver's index when we last looked
  uint16_t next_used_ = 0;
  uint16_t signalled_used_ = 0;
  bool unsignalled_ = false;      // something was pushed since the last look
  bool signalled_valid_ = false;  // false until the first interrupt: then always send one
  const char* broken_ = nullptr;
};

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_VIRTQUEUE_H_
