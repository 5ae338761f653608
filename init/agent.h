// SPDX-License-Identifier: Apache-2.0
//
// How PID 1 starts the agent and talks to it: the listener lent as descriptor 3, a fresh control
// socket as descriptor 4, the boot timeline waiting in it (protocol/base/control.h).
#ifndef BERTH_INIT_AGENT_H_
#define BERTH_INIT_AGENT_H_

#include <sys/types.h>

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "init/phases.h"
#include "protocol/base/control.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::init {

class Agent {
 public:
  Agent(std::string path, UniqueFd listener)
      : path_(std::move(path)), listener_(std::move(listener)) {}

  // A socket per life: what an agent left unread does not reach the next one. `hand_over` puts into
  // it what else the agent must find there.
  Result<pid_t> Start(std::span<const Phase> phases,
                      const std::function<void(int control)>& hand_over);

  // The next whole request waiting in the control socket. Packets of another size or kind are
  // dropped; a socket at its end is closed.
  std::optional<ControlPacket> TakeRequest();

  // kShuttingDown, kGoingDown and kHealthChanged.
  void Tell(const ControlPacket& packet);

  int control_fd() const { return control_.get(); }

 private:
  void Send(const ControlPacket& packet);

  std::string path_;
  UniqueFd listener_;
  UniqueFd control_;  // PID 1's end
  uint32_t starts_ = 0;
};

}  // namespace berth::init

#endif  // BERTH_INIT_AGENT_H_
