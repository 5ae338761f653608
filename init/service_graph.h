// SPDX-License-Identifier: Apache-2.0
//
// The services of init.toml as one state machine: what starts when, what an end means, what a stop
// waits for. Pure: events and the time come in, actions go out (Take), and whoever carries them out
// (service_runner.h) reports back. No system call is made here.
//
//   Inactive ──wanted──► Waiting ──its turn──► Starting ──ready──► Up
//       ▲                   ▲                     │ end            │ end
//       │                   │      BackingOff ◄───┴────────────────┤
//       └──── Stopping ◄────┼──────────┘ time                      ├──► Done
//                           └─ (an on_demand service)              └──► Failed
//
// A service's dependencies stand before it in the Config, so one pass in order settles everything.
#ifndef BERTH_INIT_SERVICE_GRAPH_H_
#define BERTH_INIT_SERVICE_GRAPH_H_

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "init/backoff.h"
#include "init/config.h"
#include "protocol/base/clock.h"
#include "protocol/base/control.h"
#include "protocol/base/log.h"
#include "protocol/base/result.h"
#include "protocol/base/service_control.h"

namespace berth::init {

using ServiceId = size_t;  // its place in Config::services

namespace action {

struct Spawn {  // answered by Started or NotStarted
  ServiceId id;
};
struct Signal {  // to its process
  ServiceId id;
  pid_t pid;
  int signal;
};
struct KillTree {  // SIGKILL to everything it ever forked
  ServiceId id;
  pid_t pid;
};
struct StartProbe {  // answered by Probed
  ServiceId id;
  const Probe* probe;
  Milliseconds timeout;
};
struct EndProbe {
  ServiceId id;
};
struct WatchSockets {  // answered by Connected, once
  ServiceId id;
  bool on;
};
struct Say {
  ServiceId id;
  LogLevel level;
  std::string text;
};
struct EndMachine {
  ShutdownCause cause;
  ServiceId id;
};

}  // namespace action

using ServiceAction =
    std::variant<action::Spawn, action::Signal, action::KillTree, action::StartProbe,
                 action::EndProbe, action::WatchSockets, action::Say, action::EndMachine>;

// An order about one service, followed until it is carried out (ServiceGraph::Outcome).
struct ServiceOrder {
  ServiceVerb verb;
  ServiceId id;
  uint64_t ends;  // of its lives, those that the order itself makes included
};

class ServiceGraph {
 public:
  using Time = Deadline::Clock::time_point;

  // `config` outlives the graph; `random` gives numbers from 0 to 1.
  ServiceGraph(const Config& config, std::function<double()> random);

  // What is to be done, in order. To be called until it is empty: reports make more.
  std::vector<ServiceAction> Take();
  std::optional<Time> next_deadline() const;

  // Events.
  void Begin(Time now);
  void Started(ServiceId id, pid_t pid, Time now);
  void NotStarted(ServiceId id, const Error& why, Time now);
  void Ended(ServiceId id, int wait_status, Time now);
  void NotifiedReady(ServiceId id, Time now);
  void NotifiedStatus(ServiceId id, std::string_view text);
  void Probed(ServiceId id, bool passed, std::string_view why, Time now);
  void Connected(ServiceId id, Time now);
  void Configured(Time now);
  void TimePassed(Time now);

  // Orders of people. EBUSY once the shutdown has begun.
  Result<ServiceOrder> Order(ServiceVerb verb, ServiceId id, Time now);
  // Nothing while the order is on its way.
  std::optional<Result<>> Outcome(const ServiceOrder& order) const;

  // Nothing starts any more; what runs is stopped in reverse order, all of it by `deadline`. A
  // later call can only bring the deadline forward.
  void BeginShutdown(Time deadline, Time now);
  // Services that wait for the host's part have started without it.
  bool too_late_to_configure() const { return configured_late_; }
  bool any_running() const { return !by_pid_.empty(); }
  // How often the health of a service has become another.
  uint64_t health_changes() const { return health_changes_; }

  std::optional<ServiceId> Find(std::string_view name) const;
  std::optional<ServiceId> OfPid(pid_t pid) const;
  pid_t PidOf(ServiceId id) const;
  size_t size() const { return services_.size(); }
  ServiceRow Row(ServiceId id) const;

 private:
  struct ProbeClock {
    std::optional<Time> next;
    bool under_way = false;
  };
  struct Inactive {};
  struct Waiting {
    bool listening = false;  // all else is there: for the first connection
  };
  struct BackingOff {
    Time until;
    bool then_start;  // else it waits for its turn again
  };
  struct Starting {
    pid_t pid;  // 0: being spawned
    Time since;
    Time deadline;
    ProbeClock probe;
  };
  struct Up {
    pid_t pid;
    Time since;
    ProbeClock probe;
  };
  enum class Then { kStayDown, kStartAgain, kCountAsFailure };
  struct Stopping {
    pid_t pid;
    Time since;  // of the life, not of the stop
    Time kill_at;
    bool killed;
    Then then;
    std::string why;
  };
  struct Done {};
  struct Failed {};

  struct Service {
    const ServiceConfig* config;
    std::vector<ServiceId> after;  // of both kinds
    std::vector<ServiceId> requires_;
    std::vector<ServiceId> before;  // those that come after it
    Backoff backoff;
    std::variant<Inactive, Waiting, BackingOff, Starting, Up, Stopping, Done, Failed> state;
    bool demanded = false;  // started by hand: waits for no connection
    std::string detail;
    std::string status;  // as it calls it
    ServiceHealth health = ServiceHealth::kUnknown;
    int failures_in_row = 0;
    int successes_in_row = 0;
    uint64_t ends = 0;
    uint32_t restarts = 0;
    int exit_code = -1;
    int exit_signal = 0;
    int64_t wanted_ns = 0;
    int64_t start_ns = 0;
    int64_t ready_ns = 0;
    int64_t first_ready_ns = 0;
    int64_t settled_ns = 0;  // ready, done or failed: when those behind it need not wait any more
    std::optional<ServiceId> waits_for;
  };

  struct Gate {
    enum class Kind { kOpen, kShut, kNever } kind;
    std::string why;
  };
  Gate GateOf(const Service& service) const;
  static bool Running(const Service& service);
  ServiceId IdOf(const Service& service) const {
    return static_cast<ServiceId>(&service - services_.data());
  }

  // Starts what waits and may.
  void Advance(Time now);
  void AdvanceShutdown(Time now, bool deadline_moved);
  void Launch(Service& service, Time now);
  void Want(Service& service);
  void BeReady(Service& service, Time now);
  void BeginStop(Service& service, Time now, Time kill_at, Then then, std::string why);
  void Kill(Service& service, Stopping& stopping);
  void StopByOrder(Service& service, Time now);
  // A life is over that was not asked to end.
  void Lost(Service& service, const std::string& how, bool failure, Milliseconds lived, Time now);
  void Fail(Service& service, std::string why, Time now);
  void MainEnded(Service& service, const std::string& how, bool failure, Time now);
  void EndProbeOf(Service& service);
  void SetHealth(Service& service, ServiceHealth health);
  void HealthProbed(Service& service, bool passed, std::string_view why, Time now);
  void TimePassedFor(Service& service, Time now);
  bool Admits(const Service& service, bool failure) const;
  void Say(const Service& service, LogLevel level, std::string text);

  const Config& config_;
  std::function<double()> random_;
  std::vector<Service> services_;
  std::unordered_map<pid_t, ServiceId> by_pid_;
  std::vector<ServiceAction> actions_;
  uint64_t health_changes_ = 0;
  bool configured_ = false;
  bool configured_late_ = false;
  std::optional<Time> configure_deadline_;
  std::optional<Time> shutdown_deadline_;
};

}  // namespace berth::init

#endif  // BERTH_INIT_SERVICE_GRAPH_H_
