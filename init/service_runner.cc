// SPDX-License-Identifier: Apache-2.0
#include "init/service_runner.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "init/console.h"
#include "init/mounts.h"
#include "init/service_sockets.h"
#include "init/service_spawn.h"
#include "init/wait_status.h"

namespace berth::init {
namespace {

constexpr int kNotifyBatch = 16;  // messages of one service in one turn of the loop
constexpr std::chrono::seconds kLinesPeriod{60};
// For what a service forked to be gone after SIGKILL; then its end counts all the same.
constexpr std::chrono::seconds kEmptyWait{2};

// From 0 to 1. Where the kernel has none yet, the middle: a boot must not wait for it.
double Random() {
  uint32_t value = 0;
  if (getrandom(&value, sizeof(value), GRND_NONBLOCK) != sizeof(value)) return 0.5;
  return value / 4294967295.0;
}

// Where it names no family, no socket address: the configuration was checked.
socklen_t ToSockaddr(const Probe& probe, sockaddr_storage& to) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(probe.port);
  if (inet_pton(AF_INET, probe.address.c_str(), &v4.sin_addr) == 1) {
    memcpy(&to, &v4, sizeof(v4));
    return sizeof(v4);
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(probe.port);
  if (inet_pton(AF_INET6, probe.address.c_str(), &v6.sin6_addr) == 1) {
    memcpy(&to, &v6, sizeof(v6));
    return sizeof(v6);
  }
  return 0;
}

std::string Where(const Probe& probe) {
  return "connect to " + probe.address + " port " + std::to_string(probe.port);
}

}  // namespace

ServiceRunner::ServiceRunner(const Config& config, ServicePlaces places, ServiceHooks hooks)
    : config_(config),
      places_(std::move(places)),
      hooks_(std::move(hooks)),
      graph_(config, Random) {}

bool ServiceRunner::Watch(int fd, uint32_t events, Kind kind, uint64_t index) const {
  epoll_event event{};
  event.events = events;
  event.data.u64 = index << 32 | kind;
  return epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0 ||
         (errno == EEXIST && epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) == 0);
}

void ServiceRunner::Open(int epoll) {
  epoll_ = epoll;
  cgroups_.Open(places_.cgroup_root, config_);
  for (ServiceId id = 0; id < config_.services.size(); ++id) {
    if (!ConfigOf(id).mistake.empty()) continue;
    if (!ConfigOf(id).sockets.empty()) OpenSockets(id);
    if (!ConfigOf(id).ready.notify) continue;
    if (notify_.empty()) {
      if (auto made = MakeDirs(places_.notify_dir, 0755); !made) Warn(made.error());
    }
    auto opened = NotifySocket::Open(places_.notify_dir + "/" + ConfigOf(id).name);
    if (!opened) {
      Warn(opened.error());
      continue;
    }
    Watch(opened->fd(), EPOLLIN, kNotify, id);
    notify_.emplace(id, std::move(*opened));
  }
  if (auto opened = server_.Open(places_.control_socket); !opened) {
    Warn(opened.error());
  } else {
    Watch(server_.fd(), EPOLLIN, kServer, 0);
  }
}

// Those that are not open: what one lacked before, a directory or a free port, may be there by now.
void ServiceRunner::OpenSockets(ServiceId id) {
  const std::vector<SocketConfig>& wanted = ConfigOf(id).sockets;
  Sockets& sockets = sockets_[id];
  sockets.error.reset();
  if (wanted.size() > kMaxServiceSockets) {
    sockets.error =
        Error{"socket", E2BIG, std::to_string(wanted.size()) + " sockets of " + ConfigOf(id).name,
              "a service can have " + std::to_string(kMaxServiceSockets)};
    return;
  }
  while (sockets.fds.size() < wanted.size()) {
    auto opened = OpenServiceSocket(wanted[sockets.fds.size()]);
    if (!opened) {
      sockets.error = std::move(opened.error());
      return;
    }
    sockets.fds.push_back(std::move(*opened));
  }
}

void ServiceRunner::Begin(Time now) {
  graph_.Begin(now);
  Settle(now);
}

void ServiceRunner::Settle(Time now) {
  for (auto actions = graph_.Take(); !actions.empty(); actions = graph_.Take()) {
    for (const ServiceAction& each : actions) {
      std::visit([this, now](const auto& action) { Do(action, now); }, each);
    }
  }
  server_.Answer(graph_, now);
  // Last: the shutdown that it begins must not find an action half done.
  if (const auto end = std::exchange(ending_, std::nullopt); end && hooks_.end_machine) {
    hooks_.end_machine(end->cause, graph_.Row(end->id));
  }
}

void ServiceRunner::Event(uint64_t data, Time now) {
  const ServiceId id = data >> 32;
  switch (static_cast<uint32_t>(data)) {
    case kNotify:
      TakeNotify(id, now);
      break;
    case kSocket:
      graph_.Connected(id, now);
      break;
    case kProbe:
      ConnectionDone(id, now);
      break;
    case kCgroup:
      EndIfAlone(id, now);
      break;
    case kServer:
      server_.Accept([this](int fd, uint64_t client) { Watch(fd, EPOLLIN, kClient, client); }, now);
      break;
    case kClient:
      server_.Read(
          id, graph_,
          [this](std::string_view text) {
            if (!hooks_.configure) return Result<>();
            if (auto taken = hooks_.configure(text); !taken) return taken;
            cgroups_.EnableControllers(config_);
            return Result<>();
          },
          now);
      break;
    default:
      break;
  }
  Settle(now);
}

bool ServiceRunner::Reaped(pid_t pid, int wait_status, Time now) {
  if (const auto id = graph_.OfPid(pid); id && !endings_.contains(*id)) {
    if (!AwaitOthers(*id, wait_status, now)) graph_.Ended(*id, wait_status, now);
  } else if (const auto probe = probe_pids_.find(pid); probe != probe_pids_.end()) {
    const ServiceId of = probe->second;
    probe_pids_.erase(probe);
    const auto run = probes_.find(of);
    if (run != probes_.end() && run->second.pid == pid) {
      const std::string what = run->second.what;
      EndProbeRun(of);
      graph_.Probed(of, wait_status == 0, what + ": " + DescribeWaitStatus(wait_status), now);
    }
  } else {
    return false;
  }
  Settle(now);
  return true;
}

// Whether others of its cgroup were still there. They are killed, and the service's end is told
// when they are gone: until then they may hold the port that its next process wants.
bool ServiceRunner::AwaitOthers(ServiceId id, int wait_status, Time now) {
  const std::string& name = ConfigOf(id).name;
  UniqueFd events = cgroups_.Events(name);
  if (!events || !ServiceCgroups::IsPopulated(events.get())) return false;
  cgroups_.Kill(name);
  if (!Watch(events.get(), EPOLLPRI, kCgroup, id)) return false;
  EndProbeRun(id);
  endings_.insert_or_assign(id, Ending{wait_status, now + kEmptyWait, std::move(events)});
  return true;
}

void ServiceRunner::EndIfAlone(ServiceId id, Time now) {
  const auto ending = endings_.find(id);
  if (ending == endings_.end()) return;
  const bool late = now >= ending->second.deadline;
  if (!late && ServiceCgroups::IsPopulated(ending->second.events.get())) return;
  if (late) Warn(ConfigOf(id).name + ": some of what it forked is still there after SIGKILL");
  const int wait_status = ending->second.wait_status;
  endings_.erase(ending);
  graph_.Ended(id, wait_status, now);
}

void ServiceRunner::TimePassed(Time now) {
  for (auto ending = endings_.begin(); ending != endings_.end();) {
    const ServiceId id = ending->first;
    const bool late = now >= ending->second.deadline;
    ++ending;  // before it goes
    if (late) EndIfAlone(id, now);
  }
  for (auto run = probes_.begin(); run != probes_.end();) {
    const ServiceId id = run->first;
    const bool late = now >= run->second.deadline;
    const std::string what = run->second.what;
    ++run;  // before it goes
    if (!late) continue;
    EndProbeRun(id);
    graph_.Probed(id, false, what + ": no answer in time", now);
  }
  server_.DropIdle(now);
  const auto due = graph_.next_deadline();
  if (due && now >= *due) graph_.TimePassed(now);
  Settle(now);
}

std::optional<ServiceRunner::Time> ServiceRunner::next_deadline() const {
  std::optional<Time> next = graph_.next_deadline();
  const auto consider = [&next](std::optional<Time> time) {
    if (time && (!next || *time < *next)) next = time;
  };
  for (const auto& [id, run] : probes_) consider(run.deadline);
  for (const auto& [id, ending] : endings_) consider(ending.deadline);
  consider(server_.next_deadline());
  return next;
}

void ServiceRunner::BeginShutdown(Time deadline, Time now) {
  graph_.BeginShutdown(deadline, now);
  Settle(now);
}

// --- Actions ----------------------------------------------------------------------------------

void ServiceRunner::Do(const action::Spawn& spawn, Time now) {
  const ServiceConfig& service = ConfigOf(spawn.id);
  std::vector<int> numbers;
  if (const auto sockets = sockets_.find(spawn.id); sockets != sockets_.end()) {
    OpenSockets(spawn.id);
    if (sockets->second.error) return graph_.NotStarted(spawn.id, *sockets->second.error, now);
    for (const UniqueFd& each : sockets->second.fds) numbers.push_back(each.get());
  }
  const auto notify = notify_.find(spawn.id);
  // Nothing that its last life said is about this one.
  if (notify != notify_.end()) notify->second.Drain();
  const UniqueFd procs = cgroups_.Prepare(service);
  const LogOutput log = LogOutputOf(spawn.id);
  auto pid = SpawnService({.config = &config_,
                           .service = &service,
                           .probe = {},
                           .sockets = numbers,
                           .notify_path = notify != notify_.end() ? notify->second.path() : "",
                           .cgroup_procs = procs.get(),
                           .console = places_.console.c_str(),
                           .log_out = log.out,
                           .log_err = log.err});
  if (!pid) return graph_.NotStarted(spawn.id, pid.error(), now);
  graph_.Started(spawn.id, *pid, Deadline::Clock::now());
}

// On the console where there is no log: that it runs is worth more than where its words go.
LogOutput ServiceRunner::LogOutputOf(ServiceId id) const {
  if (ConfigOf(id).output != "log" || !hooks_.log_output) return {};
  const auto output = hooks_.log_output(id, ConfigOf(id));
  if (output) return *output;
  Warn(output.error());
  return {};
}

void ServiceRunner::Do(const action::Signal& signal, Time /*now*/) {
  // The number of one that is reaped may be another's by now.
  if (signal.pid > 0 && !endings_.contains(signal.id)) kill(signal.pid, signal.signal);
}

void ServiceRunner::Do(const action::KillTree& tree, Time /*now*/) {
  if (cgroups_.Kill(ConfigOf(tree.id).name)) return;
  // The number stays taken as long as anybody is left in the group.
  if (tree.pid > 1) kill(-tree.pid, SIGKILL);
}

void ServiceRunner::Do(const action::Say& say, Time /*now*/) {
  LogLimiter& limiter =
      lines_.try_emplace(say.id, config_.log.lines_per_minute, kLinesPeriod).first->second;
  if (say.level != LogLevel::kError && !limiter.Allow()) return;
  std::string text = say.text;
  if (const long swallowed = limiter.TakeSuppressed()) {
    text += " (" + std::to_string(swallowed) + " such lines left out)";
  }
  berth::init::Say(say.level, text);
}

void ServiceRunner::Do(const action::EndMachine& end, Time /*now*/) {
  if (!ending_) ending_ = end;
}

void ServiceRunner::Do(const action::WatchSockets& watch, Time now) {
  const auto sockets = sockets_.find(watch.id);
  if (sockets == sockets_.end()) return;
  if (watch.on) {
    OpenSockets(watch.id);
    // Nobody can connect: the start fails with the reason.
    if (sockets->second.error) return graph_.Connected(watch.id, now);
  }
  for (const UniqueFd& each : sockets->second.fds) {
    if (watch.on) {
      Watch(each.get(), EPOLLIN, kSocket, watch.id);
    } else {
      epoll_ctl(epoll_, EPOLL_CTL_DEL, each.get(), nullptr);
    }
  }
}

// --- Readiness and health ---------------------------------------------------------------------

// In its cgroup; else its process, or one of its session, which it leads. A program that says it
// and ends, as systemd-notify(1) does, may be gone by now: then its user is what is left to tell
// by.
bool ServiceRunner::IsOf(ServiceId id, pid_t pid, uid_t uid) const {
  const pid_t leader = graph_.PidOf(id);
  if (leader <= 0) return false;
  if (pid == leader || cgroups_.Holds(ConfigOf(id).name, pid) || getsid(pid) == leader) return true;
  if (kill(pid, 0) == 0 || errno != ESRCH) return false;
  struct stat info = {};
  return uid == 0 ||
         (stat(("/proc/" + std::to_string(leader)).c_str(), &info) == 0 && info.st_uid == uid);
}

void ServiceRunner::TakeNotify(ServiceId id, Time now) {
  const auto socket = notify_.find(id);
  if (socket == notify_.end()) return;
  for (int i = 0; i < kNotifyBatch; ++i) {
    const auto received = socket->second.Take();
    if (!received) return;
    if (!IsOf(id, received->sender, received->uid)) {
      // A budget of its own: anybody can send, and must not silence what is said of the service.
      LogLimiter& limiter =
          strangers_.try_emplace(id, config_.log.lines_per_minute, kLinesPeriod).first->second;
      if (limiter.Allow()) {
        Warn("notify: " + ConfigOf(id).name + ": message from process " +
             std::to_string(received->sender) + ", which is not the service's; dropped");
      }
      continue;
    }
    if (received->message.stopping) graph_.NotifiedStatus(id, "is about to end");
    if (received->message.status) graph_.NotifiedStatus(id, *received->message.status);
    if (received->message.ready) graph_.NotifiedReady(id, now);
  }
}

void ServiceRunner::Do(const action::StartProbe& start, Time now) {
  if (endings_.contains(start.id)) return;  // its end ends the probe
  EndProbeRun(start.id);
  ProbeRun run;
  run.deadline = now + start.timeout;
  const auto passed = BeginProbe(start.id, *start.probe, run);
  if (!passed) return graph_.Probed(start.id, false, passed.error().Message(), now);
  if (*passed) return graph_.Probed(start.id, true, "", now);
  if (run.pid > 0) probe_pids_[run.pid] = start.id;
  probes_[start.id] = std::move(run);
}

// True where it has passed already, false where it is under way.
Result<bool> ServiceRunner::BeginProbe(ServiceId id, const Probe& probe, ProbeRun& run) {
  switch (probe.kind) {
    case Probe::Kind::kFile:
      if (access(probe.path.c_str(), F_OK) != 0) return ErrnoError("probe", probe.path);
      return true;
    case Probe::Kind::kPort: {
      run.what = Where(probe);
      sockaddr_storage address{};
      const socklen_t length = ToSockaddr(probe, address);
      run.connection.Reset(
          socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      if (!run.connection) return ErrnoError("probe", run.what);
      // One that is there at once is told by the first event.
      if (connect(run.connection.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0 &&
          errno != EINPROGRESS) {
        return ErrnoError("probe", run.what);
      }
      if (!Watch(run.connection.get(), EPOLLOUT, kProbe, id)) return ErrnoError("probe", "epoll");
      return false;
    }
    case Probe::Kind::kExec: {
      run.what = probe.exec.empty() ? "probe" : probe.exec[0];
      const UniqueFd procs = cgroups_.Procs(ConfigOf(id).name);
      const LogOutput log = LogOutputOf(id);
      BERTH_ASSIGN(run.pid, SpawnService({.config = &config_,
                                          .service = &ConfigOf(id),
                                          .probe = probe.exec,
                                          .sockets = {},
                                          .notify_path = "",
                                          .cgroup_procs = procs.get(),
                                          .console = places_.console.c_str(),
                                          .log_out = log.out,
                                          .log_err = log.err}));
      return false;
    }
  }
  return Fail("probe", EINVAL, "no such kind");
}

void ServiceRunner::ConnectionDone(ServiceId id, Time now) {
  const auto run = probes_.find(id);
  if (run == probes_.end() || !run->second.connection) return;
  int errnum = 0;
  socklen_t size = sizeof(errnum);
  getsockopt(run->second.connection.get(), SOL_SOCKET, SO_ERROR, &errnum, &size);
  sockaddr_storage peer{};
  socklen_t peer_size = sizeof(peer);
  // An event of an earlier connection with this number: this one is still on its way.
  if (errnum == 0 && getpeername(run->second.connection.get(), reinterpret_cast<sockaddr*>(&peer),
                                 &peer_size) != 0) {
    return;
  }
  if (errnum == 0 && IsConnectedToItself(run->second.connection.get())) errnum = ECONNREFUSED;
  const std::string why = run->second.what + ": " + ErrnoName(errnum);
  EndProbeRun(id);
  graph_.Probed(id, errnum == 0, why, now);
}

void ServiceRunner::Do(const action::EndProbe& end, Time /*now*/) { EndProbeRun(end.id); }

void ServiceRunner::EndProbeRun(ServiceId id) {
  const auto run = probes_.find(id);
  if (run == probes_.end()) return;
  // It leads a session of its own; its number stays until Reaped has seen it.
  if (run->second.pid > 0 && probe_pids_.contains(run->second.pid)) {
    kill(-run->second.pid, SIGKILL);
  }
  probes_.erase(run);
}

}  // namespace berth::init
