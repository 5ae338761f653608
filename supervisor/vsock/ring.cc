// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/ring.h"

#include <unistd.h>

#include <string>
#include <utility>

#include "supervisor/vsock/log.h"

namespace berth::vsock {

namespace {

void Signal(const UniqueFd& eventfd) {
  const uint64_t one = 1;
  // EAGAIN: the counter is full, so the other side has not looked and will.
  if (eventfd) [[maybe_unused]]
    const ssize_t n = write(eventfd.get(), &one, sizeof(one));
}

}  // namespace

Result<> Ring::SetSize(uint32_t size) {
  if (started()) return Fail("set-vring-num", EBUSY, "the ring runs");
  layout_.size = size;
  return {};
}

Result<> Ring::SetAddresses(uint64_t descriptors, uint64_t available, uint64_t used) {
  if (started()) return Fail("set-vring-addr", EBUSY, "the ring runs");
  layout_.descriptors = descriptors;
  layout_.available = available;
  layout_.used = used;
  return {};
}

Result<bool> Ring::SetBase(uint16_t base) {
  if (started()) return Fail("set-vring-base", EBUSY, "the ring runs");
  base_ = base;
  const std::optional<uint16_t> stopped_at = std::exchange(stopped_at_, std::nullopt);
  return stopped_at && *stopped_at != base;
}

Result<> Ring::SetKick(EventLoop* loop, UniqueFd fd) {
  kick_watch_.Reset();
  kick_ = std::move(fd);
  // Edge-triggered and never read: each kick is an edge, and the counter takes 2^64 of them.
  BERTH_ASSIGN(kick_watch_, loop->Add(kick_.get(), EPOLLIN | EPOLLET, this));
  return {};
}

Result<> Ring::Start(const GuestMemory* memory, bool event_idx, bool indirect) {
  layout_.event_idx = event_idx;
  layout_.indirect = indirect;
  const uint16_t base = queue_ ? queue_->base() : base_;
  queue_.reset();
  reported_ = false;
  BERTH_ASSIGN(queue_, Virtqueue::Create(memory, layout_, base));
  return {};
}

uint16_t Ring::Stop() {
  if (queue_) base_ = queue_->base();
  queue_.reset();
  kick_watch_.Reset();
  kick_.Reset();
  stopped_at_ = base_;
  return base_;
}

Virtqueue* Ring::running() {
  return enabled_ && queue_ && queue_->broken() == nullptr ? &*queue_ : nullptr;
}

void Ring::Interrupt() {
  if (queue_ && queue_->InterruptDue()) Signal(call_);
}

void Ring::ReportBroken(const char* name) {
  if (!queue_ || queue_->broken() == nullptr || std::exchange(reported_, true)) return;
  Log(Complaint::kRing, std::string("the ") + name +
                            " ring is broken until the driver resets it: " + queue_->broken());
  Signal(error_);
}

}  // namespace berth::vsock
