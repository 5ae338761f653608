// SPDX-License-Identifier: Apache-2.0
//
// epoll, with handles that unregister themselves. The whole process is one EventLoop on one thread.
//
// A handler may remove any watch while events of the same wake are still to be delivered: an event
// belongs to a slot and its generation, and one whose watch is gone is dropped.
#ifndef BERTH_SUPERVISOR_VSOCK_EVENT_LOOP_H_
#define BERTH_SUPERVISOR_VSOCK_EVENT_LOOP_H_

#include <sys/epoll.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"
#include "supervisor/vsock/limits.h"

namespace berth::vsock {

class EventHandler {
 public:
  virtual void OnEvents(uint32_t events) = 0;

 protected:
  ~EventHandler() = default;
};

class EventLoop;

// A registration. It must go before its descriptor does: epoll keeps a description that others hold
// open too.
class [[nodiscard]] Watch {
 public:
  Watch() = default;
  Watch(Watch&& other) noexcept
      : loop_(std::exchange(other.loop_, nullptr)), slot_(other.slot_), events_(other.events_) {}
  Watch& operator=(Watch&& other) noexcept;
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch() { Reset(); }

  // Changes what is waited for. With EPOLLET a state that already holds is reported again.
  void Want(uint32_t events);
  void Reset();

 private:
  friend class EventLoop;
  Watch(EventLoop* loop, uint32_t slot, uint32_t events)
      : loop_(loop), slot_(slot), events_(events) {}

  EventLoop* loop_ = nullptr;
  uint32_t slot_ = 0;
  uint32_t events_ = 0;
};

class EventLoop {
 public:
  static Result<std::unique_ptr<EventLoop>> Create();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // `fd` and `handler` must outlive the watch, which must not outlive the loop.
  Result<Watch> Add(int fd, uint32_t events, EventHandler* handler);

  // Waits for events until `until` (nullopt: for ever; the past: not at all) and delivers them.
  Result<> Poll(std::optional<TimePoint> until);

 private:
  friend class Watch;
  struct Slot {
    int fd = -1;
    uint32_t generation = 0;
    EventHandler* handler = nullptr;
  };

  explicit EventLoop(UniqueFd epoll) : epoll_(std::move(epoll)) {}
  uint64_t Token(uint32_t slot) const;

  UniqueFd epoll_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
};

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_EVENT_LOOP_H_
