// SPDX-License-Identifier: Apache-2.0
#include "init/shutdown.h"

#include <algorithm>

namespace berth::init {

Shutdown::Action Shutdown::Request(ShutdownMode mode, std::chrono::milliseconds grace, Time now) {
  const Time wanted = now + (grace.count() <= 0 ? kDefaultGrace : std::min(grace, kMaxGrace));
  if (stage_ == Stage::kTerminating) deadline_ = std::min(deadline_, wanted);
  if (stage_ != Stage::kRunning) return Action::kNothing;
  stage_ = Stage::kTerminating;
  mode_ = mode;
  deadline_ = wanted;
  return Action::kTerminateAll;
}

Shutdown::Action Shutdown::OnlyAgentLeft(Time now) {
  if (stage_ != Stage::kTerminating) return Action::kNothing;
  stage_ = Stage::kEndingAgent;
  deadline_ = now + kAgentWait;
  return Action::kEndAgent;
}

Shutdown::Action Shutdown::NoProcessLeft() {
  if (stage_ == Stage::kRunning || stage_ == Stage::kFinishing) return Action::kNothing;
  stage_ = Stage::kFinishing;
  return Action::kFinish;
}

Shutdown::Action Shutdown::TimePassed(Time now) {
  if (!deadline() || now < deadline_) return Action::kNothing;
  if (stage_ == Stage::kKilling) {
    stage_ = Stage::kFinishing;
    return Action::kFinish;
  }
  stage_ = Stage::kKilling;
  deadline_ = now + kKillWait;
  return Action::kKillAll;
}

std::optional<Shutdown::Time> Shutdown::deadline() const {
  if (stage_ == Stage::kRunning || stage_ == Stage::kFinishing) return std::nullopt;
  return deadline_;
}

}  // namespace berth::init
