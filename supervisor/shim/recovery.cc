// SPDX-License-Identifier: Apache-2.0
#include "supervisor/shim/recovery.h"

#include "supervisor/hypervisor/launch_spec.h"

namespace berth::shim {

void Recovery::OnDeviceDied(Deadline::Clock::time_point now) {
  if (state_ == State::kLost) return;
  deaths_.push_back(now);
  while (!deaths_.empty() && now - deaths_.front() > kRestartWindow) deaths_.pop_front();
  if (deaths_.size() > kMaxRestarts) {
    return GiveUp("it died " + std::to_string(deaths_.size()) + " times within " +
                  std::to_string(kRestartWindow.count()) + " s");
  }
  deadline_ = Deadline(now + kRecoveryTimeout);
  if (paused_) return Command(State::kClearing, "query-chardev");
  Command(State::kStopping, "stop");
}

void Recovery::Command(State next, std::string_view command) {
  state_ = next;
  // Set before the event comes that tells of it, so that it is not taken for an operator's.
  if (next == State::kStopping) stopped_by_us_ = true;
  awaited_id_ = actions_.SendCommand(command);
  if (awaited_id_ == 0) GiveUp("the hypervisor's monitor does not take commands");
}

void Recovery::Start() {
  state_ = State::kStarting;
  if (auto started = actions_.StartDevice(); !started) GiveUp(started.error().Message());
}

void Recovery::OnDeviceReady() {
  if (state_ != State::kStarting) return;
  connected_replies_ = 0;
  // The device has dialled; the hypervisor may not have picked up yet.
  Command(State::kConnecting, "query-chardev");
}

void Recovery::OnReply(uint64_t id, const qmp::Reply& reply) {
  if (id != awaited_id_ || state_ == State::kUp || state_ == State::kLost) return;
  if (!reply.ok) return GiveUp("the hypervisor refused: " + reply.error);
  switch (state_) {
    case State::kStopping:
      return Command(State::kClearing, "query-chardev");
    case State::kClearing:
      // Each question is a turn of the hypervisor's main loop, which also sees to connections.
      if (IsVsockConnected(reply.value)) return Command(State::kClearing, "query-chardev");
      return Start();
    case State::kConnecting:
      return OnConnectedReply(IsVsockConnected(reply.value));
    case State::kResuming:
      return Recovered();
    case State::kUp:
    case State::kStarting:
    case State::kLost:
      return;
  }
}

void Recovery::OnConnectedReply(bool connected) {
  // Twice in a row: what a device that died before it was picked up left in the backlog is picked
  // up first, and found dead a turn later.
  connected_replies_ = connected ? connected_replies_ + 1 : 0;
  if (connected_replies_ < 2) return Command(State::kConnecting, "query-chardev");
  if (paused_ && !stopped_by_us_) return Recovered();
  // Somebody resumed the VM meanwhile: once more, now that the device is there.
  if (!paused_ && actions_.SendCommand("stop") == 0) {
    return GiveUp("the hypervisor's monitor does not take commands");
  }
  stopped_by_us_ = true;
  Command(State::kResuming, "cont");
}

void Recovery::Recovered() {
  state_ = State::kUp;
  stopped_by_us_ = false;
  deadline_.reset();
  actions_.OnRecovered();
}

void Recovery::OnEvent(const qmp::Event& event) {
  if (event.name == "STOP") paused_ = true;
  if (event.name == "RESUME") paused_ = false;
}

void Recovery::OnDeadline() {
  deadline_.reset();
  if (state_ == State::kStopping) return GiveUp("the hypervisor's monitor does not answer");
  if (state_ == State::kClearing) return GiveUp("the hypervisor keeps the old connection");
  // Its death starts the next try, as long as there may be one.
  deadline_ = Deadline::In(kRecoveryTimeout);
  actions_.KillDevice();
}

void Recovery::GiveUp(std::string why) {
  if (state_ == State::kLost) return;
  state_ = State::kLost;
  deadline_.reset();
  if (stopped_by_us_) actions_.SendCommand("cont");
  stopped_by_us_ = false;
  actions_.OnLost(std::move(why));
}

bool IsVsockConnected(const nlohmann::json& chardevs) {
  if (!chardevs.is_array()) return false;
  for (const auto& chardev : chardevs) {
    if (!chardev.is_object() || chardev.value("label", nlohmann::json()) != kVsockChardev) continue;
    const auto filename = chardev.value("filename", nlohmann::json());
    return filename.is_string() &&
           !filename.get_ref<const std::string&>().starts_with("disconnected:");
  }
  return false;
}

}  // namespace berth::shim
