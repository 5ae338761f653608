// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shim/poller.h"

namespace berth::shim {

Result<Poller> Poller::Create() {
  UniqueFd fd(epoll_create1(EPOLL_CLOEXEC));
  if (!fd) return ErrnoError("epoll");
  return Poller(std::move(fd));
}

Result<> Poller::Watch(int fd, Token token, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u32 = static_cast<uint32_t>(token);
  if (epoll_ctl(fd_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return ErrnoError("epoll");
  return {};
}

void Poller::Change(int fd, Token token, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u32 = static_cast<uint32_t>(token);
  epoll_ctl(fd_.get(), EPOLL_CTL_MOD, fd, &event);
}

void Poller::Forget(int fd) { epoll_ctl(fd_.get(), EPOLL_CTL_DEL, fd, nullptr); }

std::span<const Poller::Ready> Poller::Wait(std::optional<Deadline> deadline) {
  std::array<epoll_event, kBatch> events;
  const int n =
      epoll_wait(fd_.get(), events.data(), kBatch, deadline ? deadline->PollTimeoutMs() : -1);
  for (int i = 0; i < n; ++i) {
    const auto at = static_cast<size_t>(i);
    ready_[at] = {static_cast<Token>(events[at].data.u32), events[at].events};
  }
  return std::span(ready_).first(n > 0 ? static_cast<size_t>(n) : 0);
}

}  // namespace berth::shim
