// SPDX-License-Identifier: Apache-2.0
#include "init/shutdown.h"

#include <algorithm>

namespace berth::init {

Shutdown::Action Shutdown::Request(ShutdownMode mode, std::chrono::milliseconds grace, Time now) {
  const Time wanted = now + std::min(grace.count() <= 0 ? config_.grace : grace, kMaxGrace);
  const bool may_hurry = stage_ == Stage::kStoppingServices || stage_ == Stage::kTerminating;
  if (may_hurry && wanted < deadline_) {
    deadline_ = wanted;
    return stage_ == Stage::kStoppingServices ? Action::kStopServices : Action::kNothing;
  }
  if (stage_ != Stage::kRunning) return Action::kNothing;
  stage_ = Stage::kStoppingServices;
  mode_ = mode;
  deadline_ = wanted;
  return Action::kStopServices;
}

Shutdown::Action Shutdown::ServicesDown() {
  if (stage_ != Stage::kStoppingServices) return Action::kNothing;
  stage_ = Stage::kTerminating;
  return Action::kTerminateAll;
}

Shutdown::Action Shutdown::OnlyAgentLeft(Time now) {
  if (stage_ != Stage::kTerminating && stage_ != Stage::kKillingOthers) return Action::kNothing;
  stage_ = Stage::kEndingAgent;
  deadline_ = now + config_.agent_wait;
  return Action::kEndAgent;
}

Shutdown::Action Shutdown::NoProcessLeft() {
  if (stage_ == Stage::kRunning || stage_ == Stage::kFinishing) return Action::kNothing;
  stage_ = Stage::kFinishing;
  return Action::kFinish;
}

Shutdown::Action Shutdown::TimePassed(Time now) {
  if (!deadline() || now < deadline_) return Action::kNothing;
  switch (stage_) {
    case Stage::kStoppingServices:
    case Stage::kTerminating:
      // The agent is spared: it has yet to tell the host how the machine ended.
      stage_ = Stage::kKillingOthers;
      deadline_ = now + config_.kill_wait;
      return Action::kKillAllOthers;
    case Stage::kKillingOthers:
      return OnlyAgentLeft(now);
    case Stage::kEndingAgent:
      stage_ = Stage::kKilling;
      deadline_ = now + config_.kill_wait;
      return Action::kKillAll;
    case Stage::kKilling:
      stage_ = Stage::kFinishing;
      return Action::kFinish;
    case Stage::kRunning:
    case Stage::kFinishing:
      break;
  }
  return Action::kNothing;
}

std::optional<Shutdown::Time> Shutdown::deadline() const {
  if (stage_ == Stage::kRunning || stage_ == Stage::kFinishing) return std::nullopt;
  return deadline_;
}

}  // namespace berth::init
