// SPDX-License-Identifier: Apache-2.0
//
// One of the device's two rings as vhost-user sets it up: the parts arrive in several messages, and
// the ring runs once all are there and it is enabled. Owned by the Device; one thread.
#ifndef BERTH_SUPERVISOR_VSOCK_RING_H_
#define BERTH_SUPERVISOR_VSOCK_RING_H_

#include <cstdint>
#include <optional>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"
#include "supervisor/vsock/event_loop.h"
#include "supervisor/vsock/guest_memory.h"
#include "supervisor/vsock/virtqueue.h"

namespace berth::vsock {

class Ring final : public EventHandler {
 public:
  Ring() = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // Sizes and addresses. Refused while the ring runs.
  Result<> SetSize(uint32_t size);
  Result<> SetAddresses(uint64_t descriptors, uint64_t available, uint64_t used);
  // Where the ring goes on. True where that is not where it stopped: the driver started anew.
  Result<bool> SetBase(uint16_t base);

  // Eventfds. Each may come several times; the latest holds.
  Result<> SetKick(EventLoop* loop, UniqueFd fd);
  void SetCall(UniqueFd fd) { call_ = std::move(fd); }
  void SetError(UniqueFd fd) { error_ = std::move(fd); }
  void Enable(bool on) { enabled_ = on; }

  // Makes the queue from what was set, over `memory`. Also when memory was replaced under a running
  // ring.
  Result<> Start(const GuestMemory* memory, bool event_idx, bool indirect);
  // GET_VRING_BASE: stops, and says where.
  uint16_t Stop();

  bool started() const { return queue_.has_value(); }
  // The queue while it may be used: started, enabled and not broken.
  Virtqueue* running();

  void Interrupt();
  // The queue has just broken: says so in the log and to the hypervisor, once.
  void ReportBroken(const char* name);

  // A kick. The wake itself is the message: the device looks at its rings after each.
  void OnEvents(uint32_t) override {}

 private:
  Virtqueue::Layout layout_;
  uint16_t base_ = 0;
  std::optional<uint16_t> stopped_at_;
  bool enabled_ = false;
  bool reported_ = false;
  std::optional<Virtqueue> queue_;
  UniqueFd call_;
  UniqueFd error_;
  UniqueFd kick_;
  Watch kick_watch_;  // after kick_: it goes first
};

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_RING_H_
