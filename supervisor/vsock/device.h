// SPDX-License-Identifier: Apache-2.0
//
// The vsock device: moves packets between the two rings and the muxer. The third queue of a
// virtio-vsock device, for events, stays in the hypervisor.
//
// Work() runs once after each wake: it drains tx (guest to host), fills rx, and then interrupts at
// most once a ring. While it drains, the driver need not kick.
//
// Owned by main; one thread.
#ifndef BERTH_SUPERVISOR_VSOCK_DEVICE_H_
#define BERTH_SUPERVISOR_VSOCK_DEVICE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "protocol/base/result.h"
#include "supervisor/vsock/guest_memory.h"
#include "supervisor/vsock/limits.h"
#include "supervisor/vsock/muxer.h"
#include "supervisor/vsock/ring.h"

namespace berth::vsock {

inline constexpr uint32_t kRxRing = 0;
inline constexpr uint32_t kTxRing = 1;
inline constexpr uint32_t kRingCount = 2;

inline constexpr uint64_t kFeatureIndirect = 1ULL << 28;
inline constexpr uint64_t kFeatureEventIdx = 1ULL << 29;
inline constexpr uint64_t kFeatureVersion1 = 1ULL << 32;
inline constexpr uint64_t kDeviceFeatures = kFeatureIndirect | kFeatureEventIdx | kFeatureVersion1;

class Device {
 public:
  explicit Device(Muxer* muxer) : muxer_(muxer) {}
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // What the driver accepted. Until it is said, all that we offer: QEMU does not say it again to a
  // device that was restarted under a running guest.
  void SetFeatures(uint64_t features) { features_ = features; }

  // Replaces guest memory; rings that run go on over the new one.
  Result<> SetMemory(GuestMemory memory);

  Result<> SetRingBase(uint32_t index, uint16_t base);
  Result<> StartRing(uint32_t index);
  Ring& ring(uint32_t index) { return rings_[index]; }

  void Work(TimePoint now);
  // Work() stopped early, to let other events have their turn.
  bool work_left() const { return work_left_; }

 private:
  void DrainTx(Virtqueue* tx, TimePoint now);
  void FillRx(Virtqueue* rx, TimePoint now);
  void HandleTx(const Chain& chain, TimePoint now);

  Muxer* muxer_;
  uint64_t features_ = kDeviceFeatures;
  bool work_left_ = false;
  GuestMemory memory_;
  std::array<Ring, kRingCount> rings_;
};

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_DEVICE_H_
