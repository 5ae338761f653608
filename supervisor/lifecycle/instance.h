// SPDX-License-Identifier: Apache-2.0
//
// Instance: one boot of a VM, as the lifecycle sees it: the processes it consists of, what they
// have reported, and the ways to end them. berthd's runs a shim; tests script one.
//
// What happens to an instance shows in its View; each change is announced through the callback that
// Host::Launch was given, on the executor's thread. Whoever is told looks at the whole View:
// changes add up, so nothing is lost where two come at once.
#ifndef BERTH_SUPERVISOR_LIFECYCLE_INSTANCE_H_
#define BERTH_SUPERVISOR_LIFECYCLE_INSTANCE_H_

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/unique_fd.h"
#include "protocol/proto/berth.pb.h"
#include "supervisor/lifecycle/fault.h"
#include "supervisor/lifecycle/guest_exit.h"
#include "supervisor/lifecycle/health.h"
#include "supervisor/shim/exit_record.h"

namespace berth::lifecycle {

struct Launched {
  int shim_pid = 0;
  int hypervisor_pid = 0;
  int vsock_pid = 0;  // 0: the hypervisor has its own device
  int64_t exec_monotonic_ns = 0;
};

struct BootPhase {
  std::string name;
  int64_t guest_us = 0;  // since the guest's kernel started
};

// What the guest's Ready said, checked and made printable.
struct GuestReady {
  uint32_t generation = 0;
  std::string build_id;
  std::string boot_id;      // hex
  std::string instance_id;  // hex; another one is another start of the agent
  std::string kernel_release;
  uint32_t agent_starts = 0;
  std::vector<BootPhase> phases;
  int64_t sent_guest_us = 0;
  int64_t received_monotonic_ns = 0;  // of the host
};

// What is done about a guest's clock once it was looked at.
enum class ClockAction : uint8_t { kLook, kSetWhereOff, kSet };

enum class AgentState : uint8_t { kAwaited, kUp, kLost };
std::string_view Name(AgentState state);

// The ends of a VM's logs: what is left to explain how it ended.
struct Evidence {
  std::string console_tail;
  std::string hypervisor_tail;
};

class Instance {
 public:
  struct View {
    std::optional<Launched> launched;
    std::optional<GuestReady> ready;  // the latest
    std::optional<Fault> refused;     // a guest rang, and we cannot speak with it
    std::optional<shim::ExitRecord> exit;
    std::optional<Fault> lost;  // the shim is gone and left no exit record
    AgentState agent = AgentState::kAwaited;
    std::string agent_why;  // why it is lost
    uint32_t vsock_restarts = 0;
    bool paused = false;
    std::optional<GuestExit> guest_exit;  // its PID 1 says that the machine goes down, and why
    // The configuration that we gave it was not taken: its words, printable, and how often.
    std::string configure_refused;
    uint32_t configure_refusals = 0;
    // What its kernel killed for want of memory: how many, and the last of them, printable.
    uint64_t oom_kill_count = 0;
    std::deque<std::string> oom_kills;
    GuestHealth health;                // as last heard; its rows stay when the agent is lost
    std::optional<ClockReport> clock;  // the last that there is something to tell of
    uint32_t clock_reports = 0;
    uint32_t thaws = 0;       // that the guest's agent did because the time of a freeze was over
    std::string log_trouble;  // why log records cannot be kept at present; empty: they are
    std::string vsock_lost;   // why there is no vsock device any more; empty: there is
    bool Ended() const { return exit.has_value() || lost.has_value(); }
  };

  virtual ~Instance() = default;

  virtual const View& view() const = 0;
  // "tcg (KVM here runs 1 µs an instruction)": for people.
  virtual const std::string& Accelerator() const = 0;

  // Each asks and returns once the question is delivered; what comes of it shows in the View.
  virtual boost::asio::awaitable<Result<>> AskGuestToPowerOff(std::chrono::milliseconds grace,
                                                              Deadline deadline) = 0;
  virtual boost::asio::awaitable<Result<>> AskHypervisorToQuit(Deadline deadline) = 0;

  // Returns once its processors stand still, or go on.
  virtual boost::asio::awaitable<Result<>> SetPaused(bool paused, Deadline deadline) = 0;

  // Kills what is left of it, and returns once no process and no socket of it is. May be called
  // again. ETIMEDOUT names what would not go.
  virtual boost::asio::awaitable<Result<>> TearDown(Deadline deadline) = 0;

  virtual Evidence CollectEvidence() const = 0;

  // One short call to the guest's agent: `request`, which the generation `since` was the first to
  // have, and its answer of the body `answer`. What stands in it is the guest's word, and within no
  // bounds but the message's.
  virtual boost::asio::awaitable<Outcome<v1::Envelope>> Call(v1::Envelope request, uint32_t since,
                                                             v1::Envelope::BodyCase answer,
                                                             Deadline deadline) = 0;

  // Measures how far the guest's clock is off, and sets it where `action` says so. What was done
  // shows in the View too.
  virtual boost::asio::awaitable<Outcome<ClockReport>> LookAtClock(ClockAction action,
                                                                   Deadline deadline) = 0;

  // A connection to the guest's agent on which our Hello and `request` have been sent, which
  // decides what it is from there on.
  virtual boost::asio::awaitable<Outcome<UniqueFd>> OpenStream(v1::Envelope request,
                                                               Deadline deadline) = 0;
};

}  // namespace berth::lifecycle

#endif  // BERTH_SUPERVISOR_LIFECYCLE_INSTANCE_H_
