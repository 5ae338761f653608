// SPDX-License-Identifier: Apache-2.0
//
// Agent: takes the host's connections and answers them.
//
// Each connection begins with the host's Hello. Its first request decides what it is: ExecStart
// makes it an exec session for the rest of its life, Follow one that carries the guest's events,
// LogFollow one that carries its log, CopyStart one that copies files, Forward one that carries the
// bytes of a connection in the guest. The others are short calls, of which any number may follow
// each other. One coroutine a connection, all on one thread.
#ifndef BERTH_AGENT_AGENT_H_
#define BERTH_AGENT_AGENT_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "agent/buffer_pool.h"
#include "agent/clock_set.h"
#include "agent/control_link.h"
#include "agent/event.h"
#include "agent/exec_child.h"
#include "agent/exec_session.h"
#include "agent/followers.h"
#include "agent/forward.h"
#include "agent/freezer.h"
#include "agent/health.h"
#include "agent/logs.h"
#include "agent/oom_watch.h"
#include "agent/ready.h"
#include "agent/session_cgroups.h"
#include "agent/stats.h"
#include "protocol/base/agent_settings.h"
#include "protocol/base/control.h"
#include "protocol/base/log.h"
#include "protocol/base/result.h"
#include "protocol/base/service_control.h"
#include "protocol/base/unique_fd.h"
#include "protocol/wire/channel.h"
#include "protocol/wire/limits.h"

namespace berth::agent {

struct AgentOptions {
  UniqueFd listener;  // listening stream socket, AF_VSOCK in a guest
  UniqueFd control;   // to PID 1
  HostEndpoint host = HostReadyEndpoint();
  v1::Hello hello;
  // Readable once PID 1 wants the agent to end (a signalfd of SIGTERM). None: it ends by the
  // signal.
  UniqueFd terminate;
  std::string service_socket = kServiceSocketPath;  // PID 1's
  std::string cgroup_root = kCgroupRoot;
  // Where PID 1 is busy it is asked again to take a configuration, after so long.
  std::chrono::milliseconds configure_retry{200};
  std::string kernel_log = "/dev/kmsg";  // empty: none
  StatsSources stats = {};
  std::string settings = kAgentSettingsPath;  // PID 1's words to the agent
  std::string program = "/proc/self/exe";     // the agent itself, for its chores
  std::string random_device = "/dev/urandom";
  std::string mountinfo = "/proc/self/mountinfo";
  std::string devices = "/sys/devices/system";
  std::shared_ptr<RealtimeClock> clock = std::make_shared<RealtimeClock>();
};

class Agent {
 public:
  // Connections at once, but for forwards. The rest wait in the listener's backlog.
  static constexpr int kMaxConnections = 256;
  // Forwards have places of their own: however many there are, a session finds room.
  static constexpr int kMaxForwards = wire::kMaxForwards;
  // Descriptors that so many sessions need, those of which copy one for each directory they are in;
  // what PID 1 lends for the log; those of a health check's child or connection, and some for the
  // agent itself.
  static constexpr rlim_t kOpenFiles = kMaxConnections * 8 + kMaxForwards * 2 +
                                       wire::kMaxCopies * wire::kMaxCopyDepth + kMaxLogSources * 2 +
                                       kMaxHealthChecks * 4 + 64;

  // Ignores SIGPIPE and raises the limit of open files for the whole process.
  Agent(boost::asio::io_context& context, AgentOptions options);
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // Until the context stops; it is stopped when PID 1 closes the control socket, and by `terminate`
  // once the host has heard the guest's last event and its last lines, or had
  // wire::kEventAckTimeout for them.
  void Start();

  int connections() const { return connections_; }
  int forwards() const { return forwards_; }
  // It was stopped by `terminate`.
  bool terminated() const { return terminated_; }

 private:
  boost::asio::awaitable<void> Accept();
  boost::asio::awaitable<void> FollowControl();
  boost::asio::awaitable<void> AwaitTermination();
  void TakeControl(ControlMessage message);
  void TakeOomKill(v1::OomKill kill);

  // Rings the host's bell. Where it has nothing to add to PID 1's configuration, PID 1 is told so.
  boost::asio::awaitable<void> Announce(BootRecord boot);
  // The host's part of the configuration, or nullopt: it has none. The first of this agent's life
  // that reaches PID 1, which takes the first of a boot.
  boost::asio::awaitable<void> Configure(std::optional<std::string> toml);
  boost::asio::awaitable<void> Serve(UniqueFd connection);

  // Reads the host's Hello. Leaves our own in `greeting` where it may go out with the first answer.
  // The generation that both speak.
  boost::asio::awaitable<Result<uint32_t>> Greet(wire::Channel& channel, std::string& greeting);
  boost::asio::awaitable<Result<>> ServeCalls(std::unique_ptr<wire::Channel> channel,
                                              std::string greeting, uint32_t generation);

  // What a connection's requests are, by their body: the tables of agent.cc.
  struct StreamRow;
  struct CallRow;
  static const StreamRow* FindStream(const v1::Envelope& request, uint32_t generation);
  static const CallRow* FindCall(const v1::Envelope& request, uint32_t generation);

  // Streams: each takes the connection for the rest of its life.
  boost::asio::awaitable<Result<>> ServeExec(std::unique_ptr<wire::Channel> channel,
                                             const v1::Envelope& request, std::string greeting);
  boost::asio::awaitable<Result<>> ServeAttach(std::unique_ptr<wire::Channel> channel,
                                               const v1::Envelope& request, std::string greeting);
  boost::asio::awaitable<Result<>> ServeFollow(std::unique_ptr<wire::Channel> channel,
                                               const v1::Envelope& request, std::string greeting);
  boost::asio::awaitable<Result<>> ServeCopy(std::unique_ptr<wire::Channel> channel,
                                             const v1::Envelope& request, std::string greeting);

  boost::asio::awaitable<Result<>> ServeLogFollow(std::unique_ptr<wire::Channel> channel,
                                                  const v1::Envelope& request,
                                                  std::string greeting);
  boost::asio::awaitable<Result<>> ServeForward(std::unique_ptr<wire::Channel> channel,
                                                const v1::Envelope& request, std::string greeting);
  // In a forward's place, which the caller gives back.
  boost::asio::awaitable<Result<>> RunForward(std::unique_ptr<wire::Channel> channel,
                                              const v1::Forward& request, std::string greeting);

  // Short calls. ECANCELED: the host has closed, and nobody is there to be told.
  boost::asio::awaitable<Result<v1::Envelope>> AnswerPing(wire::Channel& channel,
                                                          const v1::Envelope& request);
  boost::asio::awaitable<Result<v1::Envelope>> AnswerShutdown(wire::Channel& channel,
                                                              const v1::Envelope& request);
  boost::asio::awaitable<Result<v1::Envelope>> AnswerService(wire::Channel& channel,
                                                             const v1::Envelope& request);
  boost::asio::awaitable<Result<v1::Envelope>> AnswerSessions(wire::Channel& channel,
                                                              const v1::Envelope& request);
  // ESRCH where there is none.
  Result<std::shared_ptr<ExecSession>> FindSession(const std::string& id) const;
  // Room for one more that is detachable: the oldest that has ended makes it. EAGAIN: all run.
  Result<> MakeRoomForDetachable();
  boost::asio::awaitable<Result<v1::Envelope>> AnswerStats(wire::Channel& channel,
                                                           const v1::Envelope& request);
  static boost::asio::awaitable<Result<>> WriteFailure(wire::Channel& channel,
                                                       const std::string& greeting,
                                                       const Error& error);
  // Generation 3 (agent_operator.cc).
  boost::asio::awaitable<Result<v1::Envelope>> AnswerHealthConfigure(wire::Channel& channel,
                                                                     const v1::Envelope& request);
  boost::asio::awaitable<Result<v1::Envelope>> AnswerHealth(wire::Channel& channel,
                                                            const v1::Envelope& request);
  boost::asio::awaitable<Result<v1::Envelope>> AnswerClock(wire::Channel& channel,
                                                           const v1::Envelope& request);
  boost::asio::awaitable<Result<v1::Envelope>> AnswerClockStep(wire::Channel& channel,
                                                               const v1::Envelope& request);
  boost::asio::awaitable<Result<v1::Envelope>> AnswerReseed(wire::Channel& channel,
                                                            const v1::Envelope& request);
  boost::asio::awaitable<Result<v1::Envelope>> AnswerFreeze(wire::Channel& channel,
                                                            const v1::Envelope& request);
  boost::asio::awaitable<Result<v1::Envelope>> AnswerThaw(wire::Channel& channel,
                                                          const v1::Envelope& request);
  boost::asio::awaitable<Result<v1::Envelope>> AnswerOnline(wire::Channel& channel,
                                                            const v1::Envelope& request);
  // What PID 1 says to the agent; said again behind a Configure.
  void ReadSettings();
  void Complain(const Error& error);

  boost::asio::io_context& context_;
  boost::asio::posix::stream_descriptor listener_;
  ControlLink control_;
  HostEndpoint host_;
  v1::Hello hello_;
  ExecDefaults defaults_;
  BufferPool pool_;
  SessionCgroups cgroups_;
  std::list<std::shared_ptr<ExecSession>> sessions_;  // after what they hold parts of
  wire::RelayPool relay_pool_;
  std::list<std::shared_ptr<ForwardSession>> forward_sessions_;  // after their pool
  Followers followers_;
  Logs logs_;
  OomWatch oom_watch_;
  const std::string kernel_log_;
  Event freed_;  // a connection ended while the agent was full
  LogLimiter complaints_;
  std::optional<boost::asio::posix::stream_descriptor> terminate_;
  const std::string service_socket_;
  const std::chrono::milliseconds configure_retry_;
  const StatsSources stats_;
  const std::string settings_path_;
  const std::string random_device_;
  const std::shared_ptr<RealtimeClock> clock_;
  const std::string program_;
  const std::string devices_;
  Freezer freezer_;
  Health health_;        // after what it rings for, and the defaults of its children
  int connections_ = 0;  // that hold one of kMaxConnections
  int forwards_ = 0;     // that hold one of kMaxForwards instead
  int copies_ = 0;       // of the connections
  int writers_ = 0;      // of the copies: those that write here
  bool shutting_down_ = false;
  bool configured_ = false;
  bool terminated_ = false;
  bool own_time_ = false;  // the host does not set the clock
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_AGENT_H_
