// SPDX-License-Identifier: Apache-2.0
//
// ControlLink: the agent's end of the control socket to PID 1 (protocol/base/control.h). Runs on
// the agent's thread; never blocks on PID 1.
#ifndef BERTH_AGENT_CONTROL_LINK_H_
#define BERTH_AGENT_CONTROL_LINK_H_

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/control.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::agent {

struct BootRecord {
  struct Phase {
    std::string name;
    int64_t monotonic_ns = 0;
  };
  std::vector<Phase> phases;
  uint32_t agent_starts = 0;
};

struct ControlMessage {
  ControlPacket packet;
  std::array<UniqueFd, kMaxControlFds> fds;  // those that came with it, from the first on
};

class ControlLink {
 public:
  ControlLink(const boost::asio::any_io_executor& executor, UniqueFd socket);

  // The boot phases that PID 1 sent. What came until the deadline where their end does not come: a
  // timeline with a gap is no reason not to be ready.
  boost::asio::awaitable<BootRecord> ReadBoot(Deadline deadline);

  // Nullopt: nothing is waiting, or the socket is at its end.
  std::optional<ControlMessage> TryRead();

  // The next packet, or nullopt once PID 1 has closed its end.
  boost::asio::awaitable<std::optional<ControlMessage>> Read();

  Result<> RequestShutdown(ShutdownMode mode, int64_t grace_ms);

 private:
  boost::asio::posix::stream_descriptor socket_;
  bool closed_ = false;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_CONTROL_LINK_H_
