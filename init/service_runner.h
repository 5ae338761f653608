// SPDX-License-Identifier: Apache-2.0
//
// Carries out what ServiceGraph decides, with processes, cgroups, sockets and probes, and tells it
// what happens. Lives in PID 1's one event loop, whose epoll it is given; never waits.
#ifndef BERTH_INIT_SERVICE_RUNNER_H_
#define BERTH_INIT_SERVICE_RUNNER_H_

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "init/config.h"
#include "init/guest_log.h"
#include "init/service_cgroup.h"
#include "init/service_graph.h"
#include "init/service_notify.h"
#include "init/service_server.h"
#include "protocol/base/log.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::init {

// Where the runner finds and puts things; tests have their own.
struct ServicePlaces {
  std::string cgroup_root = "/sys/fs/cgroup";
  std::string notify_dir = "/run/berth/notify";
  std::string control_socket = kServiceSocketPath;
  std::string console = "/dev/console";
};

struct ServiceHooks {
  // The machine is to end: a main service has, or a crash loop asks for it.
  std::function<void(ShutdownCause, const ServiceRow&)> end_machine;
  // The host's part of the configuration, to be decoded and merged into the Config.
  std::function<Result<>(std::string_view)> configure;
  // Where a service's output goes that is for the log. Empty: there is no log.
  std::function<Result<LogOutput>(ServiceId, const ServiceConfig&)> log_output = {};
};

// What an epoll event of a service carries: a kind in the low half, from kFirstServiceEvent on, and
// an index in the high one.
inline constexpr uint32_t kFirstServiceEvent = 16;

class ServiceRunner {
 public:
  using Time = ServiceGraph::Time;

  // `config` outlives the runner.
  ServiceRunner(const Config& config, ServicePlaces places, ServiceHooks hooks);

  // Cgroups, the sockets of all services, the control socket. What fails is said, and is the
  // failure of the service that needs it.
  void Open(int epoll);
  void Begin(Time now);
  void Event(uint64_t data, Time now);
  // Whether the process was a service or a probe.
  bool Reaped(pid_t pid, int wait_status, Time now);
  void TimePassed(Time now);
  std::optional<Time> next_deadline() const;
  void BeginShutdown(Time deadline, Time now);
  bool any_running() const { return graph_.any_running(); }
  const ServiceGraph& graph() const { return graph_; }

 private:
  enum Kind : uint32_t { kNotify = kFirstServiceEvent, kSocket, kProbe, kCgroup, kServer, kClient };
  struct Sockets {
    std::vector<UniqueFd> fds;
    std::optional<Error> error;  // the first that could not be opened
  };
  struct ProbeRun {  // one under way
    Time deadline;
    UniqueFd connection;  // of a port
    pid_t pid = 0;        // of an exec
    std::string what;
  };

  struct Ending {  // its process is reaped, others of its cgroup are not gone yet
    int wait_status;
    Time deadline;
    UniqueFd events;  // of the cgroup
  };

  void OpenSockets(ServiceId id);
  bool Watch(int fd, uint32_t events, Kind kind, uint64_t index) const;
  // Carries out actions until there are none, then serves the clients who wait for their effect.
  void Settle(Time now);
  void Do(const action::Spawn& spawn, Time now);
  void Do(const action::Signal& signal, Time now);
  void Do(const action::KillTree& kill, Time now);
  void Do(const action::StartProbe& start, Time now);
  void Do(const action::EndProbe& end, Time now);
  void Do(const action::WatchSockets& watch, Time now);
  void Do(const action::Say& say, Time now);
  void Do(const action::EndMachine& end, Time now);

  bool AwaitOthers(ServiceId id, int wait_status, Time now);
  void EndIfAlone(ServiceId id, Time now);
  void TakeNotify(ServiceId id, Time now);
  bool IsOf(ServiceId id, pid_t pid, uid_t uid) const;
  LogOutput LogOutputOf(ServiceId id) const;
  Result<bool> BeginProbe(ServiceId id, const Probe& probe, ProbeRun& run);
  void ConnectionDone(ServiceId id, Time now);
  void EndProbeRun(ServiceId id);
  const ServiceConfig& ConfigOf(ServiceId id) const { return config_.services[id]; }

  const Config& config_;
  const ServicePlaces places_;
  const ServiceHooks hooks_;
  int epoll_ = -1;
  ServiceGraph graph_;
  ServiceCgroups cgroups_;
  ServiceServer server_;
  std::map<ServiceId, NotifySocket> notify_;
  std::map<ServiceId, Sockets> sockets_;
  std::map<ServiceId, ProbeRun> probes_;
  std::unordered_map<pid_t, ServiceId> probe_pids_;
  std::map<ServiceId, Ending> endings_;
  std::map<ServiceId, LogLimiter> lines_;
  std::map<ServiceId, LogLimiter> strangers_;  // of messages that are not the service's
  std::optional<action::EndMachine> ending_;
};

}  // namespace berth::init

#endif  // BERTH_INIT_SERVICE_RUNNER_H_
