// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/event_loop.h"

#include <array>

#include "protocol/base/clock.h"

namespace berth::vsock {

Watch& Watch::operator=(Watch&& other) noexcept {
  if (this != &other) {
    Reset();
    loop_ = std::exchange(other.loop_, nullptr);
    slot_ = other.slot_;
    events_ = other.events_;
  }
  return *this;
}

void Watch::Want(uint32_t events) {
  if (loop_ == nullptr || events == events_) return;
  epoll_event event{.events = events, .data = {.u64 = loop_->Token(slot_)}};
  // Cannot fail for a registered descriptor: there is nothing to allocate.
  epoll_ctl(loop_->epoll_.get(), EPOLL_CTL_MOD, loop_->slots_[slot_].fd, &event);
  events_ = events;
}

void Watch::Reset() {
  EventLoop* loop = std::exchange(loop_, nullptr);
  if (loop == nullptr) return;
  EventLoop::Slot& slot = loop->slots_[slot_];
  epoll_ctl(loop->epoll_.get(), EPOLL_CTL_DEL, slot.fd, nullptr);
  slot.fd = -1;
  slot.handler = nullptr;
  ++slot.generation;
  loop->free_.push_back(slot_);
}

Result<std::unique_ptr<EventLoop>> EventLoop::Create() {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return ErrnoError("epoll-create");
  return std::unique_ptr<EventLoop>(new EventLoop(std::move(epoll)));
}

uint64_t EventLoop::Token(uint32_t slot) const {
  return uint64_t{slots_[slot].generation} << 32 | slot;
}

Result<Watch> EventLoop::Add(int fd, uint32_t events, EventHandler* handler) {
  if (free_.empty()) {
    free_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const uint32_t slot = free_.back();
  epoll_event event{.events = events, .data = {.u64 = Token(slot)}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return ErrnoError("epoll-add");
  free_.pop_back();
  slots_[slot].fd = fd;
  slots_[slot].handler = handler;
  return Watch(this, slot, events);
}

Result<> EventLoop::Poll(std::optional<TimePoint> until) {
  const int timeout_ms = until ? Deadline(*until).PollTimeoutMs() : -1;
  std::array<epoll_event, 64> events;
  const int count =
      epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout_ms);
  if (count < 0 && errno != EINTR) return ErrnoError("epoll-wait");
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    const Slot slot = slots_[static_cast<uint32_t>(event.data.u64)];
    if (slot.handler == nullptr || slot.generation != event.data.u64 >> 32) continue;
    slot.handler->OnEvents(event.events);
  }
  return {};
}

}  // namespace berth::vsock
