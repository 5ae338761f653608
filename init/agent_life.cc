// SPDX-License-Identifier: Apache-2.0
#include "init/agent_life.h"

#include <utility>

#include "init/wait_status.h"

namespace berth::init {

Result<> AgentLife::StartIfDue(Time now) {
  const auto* waiting = std::get_if<Waiting>(&state_);
  if (waiting == nullptr || waiting->start_at > now) return {};
  auto pid = start_();
  if (!pid) {
    state_ = Waiting{now + backoff_.Ended({})};
    return std::unexpected(std::move(pid.error()));
  }
  state_ = Running{*pid, now};
  return {};
}

std::optional<AgentLife::End> AgentLife::Reaped(pid_t pid, int wait_status, Time now) {
  const auto* running = std::get_if<Running>(&state_);
  if (running == nullptr || running->pid != pid) return std::nullopt;
  const auto wait = backoff_.Ended(now - running->since);
  if (restarting_) {
    state_ = Waiting{now + wait};
  } else {
    state_ = Ended{};
  }
  return End{DescribeWaitStatus(wait_status), wait, backoff_.crash_loop(), backoff_.was_stable()};
}

void AgentLife::StopRestarting() {
  restarting_ = false;
  if (std::holds_alternative<Waiting>(state_)) state_ = Ended{};
}

std::optional<AgentLife::Time> AgentLife::next_start() const {
  const auto* waiting = std::get_if<Waiting>(&state_);
  if (waiting == nullptr) return std::nullopt;
  return waiting->start_at;
}

pid_t AgentLife::pid() const {
  const auto* running = std::get_if<Running>(&state_);
  return running != nullptr ? running->pid : -1;
}

}  // namespace berth::init
