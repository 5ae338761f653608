// SPDX-License-Identifier: Apache-2.0
//
// Credit: how much each side may send before the other has taken what came before (virtio 1.2,
// section 5.10.6.3). All counters run modulo 2^32; only differences of them mean anything.
#ifndef BERTH_SUPERVISOR_VSOCK_CREDIT_H_
#define BERTH_SUPERVISOR_VSOCK_CREDIT_H_

#include <cstdint>

namespace berth::vsock {

// What we may send to the guest, by its own word.
class SendCredit {
 public:
  // From any packet of the guest.
  void Update(uint32_t buf_alloc, uint32_t fwd_cnt) {
    buf_alloc_ = buf_alloc;
    fwd_cnt_ = fwd_cnt;
  }
  // A guest that has shrunk its buffer, or claims to have forwarded what we never sent, has no
  // room: it stalls itself and no one else.
  uint32_t Room() const {
    const uint32_t in_flight = sent_ - fwd_cnt_;
    return in_flight < buf_alloc_ ? buf_alloc_ - in_flight : 0;
  }
  void Spend(uint32_t bytes) { sent_ += bytes; }

 private:
  uint32_t sent_ = 0;
  uint32_t buf_alloc_ = 0;
  uint32_t fwd_cnt_ = 0;
};

// What the guest may send to us.
class ReceiveCredit {
 public:
  explicit ReceiveCredit(uint32_t buf_alloc) : buf_alloc_(buf_alloc) {}

  // False where the guest sends more than it was allowed: it broke the protocol.
  bool Take(uint32_t bytes) {
    if (bytes > buf_alloc_ - (received_ - forwarded_)) return false;
    received_ += bytes;
    return true;
  }
  // `bytes` of what was taken have reached the host's socket.
  void Forward(uint32_t bytes) { forwarded_ += bytes; }
  // The guest knows of less than half of the room that there is. Sooner would be an interrupt for
  // little; later, and a guest that fills its window would wait for us.
  bool UpdateDue() const { return forwarded_ - announced_ >= buf_alloc_ / 2; }
  // The fwd_cnt to put into a packet that now goes to the guest.
  uint32_t Announce() { return announced_ = forwarded_; }
  uint32_t buf_alloc() const { return buf_alloc_; }

 private:
  uint32_t buf_alloc_;
  uint32_t received_ = 0;
  uint32_t forwarded_ = 0;
  uint32_t announced_ = 0;
};

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_CREDIT_H_
