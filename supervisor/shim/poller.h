// SPDX-License-Identifier: Apache-2.0
//
// Poller: the shim's epoll. What is ready is told by token, not by callback: the shim watches a
// handful of descriptors whose roles are known, and a stale token can at worst cause one read that
// would block, on a descriptor that does not. Owns the epoll descriptor only; one thread.
#ifndef BERTH_SUPERVISOR_SHIM_POLLER_H_
#define BERTH_SUPERVISOR_SHIM_POLLER_H_

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::shim {

enum class Token : uint32_t {
  kSignal,
  kConsole,
  kHypervisorStderr,
  kVsockStderr,
  kVsockNotify,
  kHypervisor,
  kVsock,
  kMonitor,
  kListener,
  kFirstClient,  // and one for each client slot after it
};

class Poller {
 public:
  struct Ready {
    Token token;
    uint32_t events;
  };

  static Result<Poller> Create();

  Result<> Watch(int fd, Token token, uint32_t events = EPOLLIN);
  void Change(int fd, Token token, uint32_t events);
  void Forget(int fd);

  // Empty at the deadline. The span is valid until the next call.
  std::span<const Ready> Wait(std::optional<Deadline> deadline);

 private:
  static constexpr int kBatch = 16;

  explicit Poller(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
  std::array<Ready, kBatch> ready_{};
};

}  // namespace berth::shim

#endif  // BERTH_SUPERVISOR_SHIM_POLLER_H_
