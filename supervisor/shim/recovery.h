// SPDX-License-Identifier: Apache-2.0
//
// Recovery: gives a VM its vsock device back when the device died.
//
// The guest must not run while the device is set up anew: its rings are handed over only when the
// VM goes from stopped to running. So:
//
//   kUp ─died→ kStopping ─stopped→ kStarting ─ready→ kConnecting ─connected→ kResuming ─resumed→
//   kUp
//                 (stop)           (device)          (query-chardev)           (cont)
//
// A VM that an operator has paused is neither stopped nor resumed: the rings are handed over when
// the operator resumes it. A device that dies more than kMaxRestarts times in kRestartWindow, or a
// monitor that does not answer, ends in kLost: the VM runs on without vsock, and its clients are
// told.
//
// This is the state machine alone: what it wants done it asks of Actions. One thread.
#ifndef BERTH_SUPERVISOR_SHIM_RECOVERY_H_
#define BERTH_SUPERVISOR_SHIM_RECOVERY_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "supervisor/hypervisor/qmp_codec.h"

namespace berth::shim {

inline constexpr size_t kMaxRestarts = 5;
inline constexpr std::chrono::seconds kRestartWindow{60};
inline constexpr std::chrono::seconds kRecoveryTimeout{10};  // from a death to the VM running again

class Recovery {
 public:
  class Actions {
   public:
    virtual ~Actions() = default;
    // The id of the command; 0: the monitor takes none.
    virtual uint64_t SendCommand(std::string_view command) = 0;
    virtual Result<> StartDevice() = 0;
    virtual void KillDevice() = 0;
    virtual void OnRecovered() = 0;
    virtual void OnLost(std::string why) = 0;
  };

  enum class State { kUp, kStopping, kClearing, kStarting, kConnecting, kResuming, kLost };

  // `actions` outlives this.
  explicit Recovery(Actions& actions) : actions_(actions) {}

  State state() const { return state_; }
  // Whether somebody other than this has paused the VM.
  bool paused_by_operator() const { return paused_ && !stopped_by_us_; }
  // When OnDeadline is due.
  std::optional<Deadline> deadline() const { return deadline_; }

  void OnDeviceDied(Deadline::Clock::time_point now);
  void OnDeviceReady();
  void OnReply(uint64_t id, const qmp::Reply& reply);
  void OnEvent(const qmp::Event& event);
  void OnDeadline();

 private:
  void Command(State next, std::string_view command);
  void Start();
  void OnConnectedReply(bool connected);
  void Recovered();
  void GiveUp(std::string why);

  Actions& actions_;
  State state_ = State::kUp;
  bool paused_ = false;
  bool stopped_by_us_ = false;
  uint64_t awaited_id_ = 0;
  int connected_replies_ = 0;  // in a row
  std::optional<Deadline> deadline_;
  std::deque<Deadline::Clock::time_point> deaths_;  // at most kMaxRestarts + 1
};

// Whether the reply to query-chardev shows the vsock device's character device connected.
bool IsVsockConnected(const nlohmann::json& chardevs);

}  // namespace berth::shim

#endif  // BERTH_SUPERVISOR_SHIM_RECOVERY_H_
