// SPDX-License-Identifier: Apache-2.0
#include "agent/agent.h"

#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>

#include "agent/ping.h"
#include "agent/service_link.h"
#include "protocol/base/clock.h"
#include "protocol/base/text.h"
#include "protocol/wire/handshake.h"
#include "protocol/wire/readiness.h"

namespace berth::agent {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto kBootRecordTimeout = 2s;
// Where the guest has no descriptor or memory for a connection, it waits in the backlog.
constexpr auto kAcceptBackoff = 100ms;
// PID 1 keeps the deadline of a service call; this is for its answer to come.
constexpr auto kServiceSlack = 5s;
// PID 1 only has to read a configuration, not to act by it. Where it is busy it is asked again.
constexpr auto kConfigureTimeout = 10s;
constexpr int kConfigureAttempts = 50;
// How often a connection that has more to say is asked whether it is there still.
constexpr auto kHangUpLook = 250ms;

// Where a coroutine ended by an exception, memory is gone: one connection less, the agent goes on.
void LogLost(const std::exception_ptr& lost) {
  if (!lost) return;
  try {
    std::rethrow_exception(lost);
  } catch (const std::exception& error) {
    Log(LogLevel::kError, "berth-agent", error.what());
  }
}

rlimit RaiseOpenFiles() {
  rlimit old = {};
  getrlimit(RLIMIT_NOFILE, &old);
  rlimit wanted = old;
  wanted.rlim_cur = std::max(old.rlim_cur, Agent::kOpenFiles);
  wanted.rlim_max = std::max(old.rlim_max, wanted.rlim_cur);
  if (setrlimit(RLIMIT_NOFILE, &wanted) != 0) {
    wanted.rlim_max = old.rlim_max;
    wanted.rlim_cur = old.rlim_max;
    setrlimit(RLIMIT_NOFILE, &wanted);
  }
  return old;
}

// Over vsock only the host may speak to the agent: not another process of the guest, and no other
// guest. (The other families are those of tests.)
Result<> CheckPeer(int connection) {
  sockaddr_storage storage = {};
  socklen_t length = sizeof(storage);
  if (getpeername(connection, reinterpret_cast<sockaddr*>(&storage), &length) != 0) {
    return ErrnoError("accept", "getpeername");
  }
  if (storage.ss_family != AF_VSOCK) return {};
  const auto& peer = reinterpret_cast<const sockaddr_vm&>(storage);
  if (peer.svm_cid == VMADDR_CID_HOST) return {};
  return Fail("accept", EACCES, "a connection from cid " + std::to_string(peer.svm_cid));
}

// Cancels `waiting` when the peer of `socket` closes. While there is such a link its caller waits,
// and the socket is there.
asio::awaitable<void> CancelOnHangUp(std::weak_ptr<ServiceLink> waiting, wire::Socket& socket) {
  asio::steady_timer pause(co_await asio::this_coro::executor);
  while (!waiting.expired()) {
    boost::system::error_code code;
    co_await socket.async_wait(wire::Socket::wait_read,
                               asio::redirect_error(asio::use_awaitable, code));
    const auto link = waiting.lock();
    if (code || !link) co_return;
    pollfd peer{.fd = socket.native_handle(), .events = POLLRDHUP, .revents = 0};
    if (poll(&peer, 1, 0) != 0) co_return link->Cancel();
    // It has another call for us: bytes that we leave where they are make the socket readable.
    pause.expires_after(kHangUpLook);
    co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, code));
  }
}

}  // namespace

struct Agent::StreamRow {
  v1::Envelope::BodyCase request;
  uint32_t since;  // the generation that has it first
  asio::awaitable<Result<>> (Agent::*serve)(std::unique_ptr<wire::Channel> channel,
                                            const v1::Envelope& request, std::string greeting);
};

struct Agent::CallRow {
  v1::Envelope::BodyCase request;
  uint32_t since;
  // It may take long: the host need not wait so long for our Hello.
  bool slow;
  asio::awaitable<Result<v1::Envelope>> (Agent::*answer)(wire::Channel& channel,
                                                         const v1::Envelope& request);
};

const Agent::StreamRow* Agent::FindStream(const v1::Envelope& request, uint32_t generation) {
  static constexpr StreamRow kStreams[] = {
      {v1::Envelope::kExecStart, 1, &Agent::ServeExec},
      {v1::Envelope::kFollow, wire::kServiceGeneration, &Agent::ServeFollow},
      {v1::Envelope::kExecAttach, wire::kOperatorGeneration, &Agent::ServeAttach},
      {v1::Envelope::kLogFollow, wire::kOperatorGeneration, &Agent::ServeLogFollow},
      {v1::Envelope::kCopyStart, wire::kOperatorGeneration, &Agent::ServeCopy},
      {v1::Envelope::kForward, wire::kOperatorGeneration, &Agent::ServeForward},
  };
  const auto* const row = std::ranges::find(kStreams, request.body_case(), &StreamRow::request);
  return row != std::end(kStreams) && generation >= row->since ? row : nullptr;
}

const Agent::CallRow* Agent::FindCall(const v1::Envelope& request, uint32_t generation) {
  static constexpr CallRow kCalls[] = {
      {v1::Envelope::kPing, 1, false, &Agent::AnswerPing},
      {v1::Envelope::kShutdown, 1, false, &Agent::AnswerShutdown},
      {v1::Envelope::kServiceCall, wire::kServiceGeneration, true, &Agent::AnswerService},
      {v1::Envelope::kSessionsCall, wire::kOperatorGeneration, false, &Agent::AnswerSessions},
      {v1::Envelope::kStatsCall, wire::kOperatorGeneration, false, &Agent::AnswerStats},
      {v1::Envelope::kHealthConfigure, wire::kOperatorGeneration, false,
       &Agent::AnswerHealthConfigure},
      {v1::Envelope::kHealthCall, wire::kOperatorGeneration, true, &Agent::AnswerHealth},
      {v1::Envelope::kClockCall, wire::kOperatorGeneration, false, &Agent::AnswerClock},
      {v1::Envelope::kClockStep, wire::kOperatorGeneration, false, &Agent::AnswerClockStep},
      {v1::Envelope::kReseed, wire::kOperatorGeneration, false, &Agent::AnswerReseed},
      {v1::Envelope::kFreeze, wire::kOperatorGeneration, true, &Agent::AnswerFreeze},
      {v1::Envelope::kThaw, wire::kOperatorGeneration, true, &Agent::AnswerThaw},
      {v1::Envelope::kOnline, wire::kOperatorGeneration, true, &Agent::AnswerOnline},
  };
  const auto* const row = std::ranges::find(kCalls, request.body_case(), &CallRow::request);
  return row != std::end(kCalls) && generation >= row->since ? row : nullptr;
}

Agent::Agent(asio::io_context& context, AgentOptions options)
    : context_(context),
      listener_(context, options.listener.Release()),
      control_(context.get_executor(), std::move(options.control)),
      host_(options.host),
      hello_(std::move(options.hello)),
      cgroups_(options.cgroup_root),
      followers_(context.get_executor()),
      logs_(context.get_executor(), hello_.boot_id(), options.kernel_log),
      oom_watch_(context.get_executor(),
                 [this](v1::OomKill kill) { TakeOomKill(std::move(kill)); }),
      kernel_log_(std::move(options.kernel_log)),
      freed_(context.get_executor()),
      complaints_(5, 60s),
      service_socket_(std::move(options.service_socket)),
      configure_retry_(options.configure_retry),
      stats_(std::move(options.stats)),
      settings_path_(std::move(options.settings)),
      random_device_(std::move(options.random_device)),
      clock_(std::move(options.clock)),
      program_(std::move(options.program)),
      devices_(std::move(options.devices)),
      freezer_(
          context.get_executor(),
          {.defaults = defaults_, .program = program_, .mountinfo = std::move(options.mountinfo)},
          [this](uint32_t mounts) {
            v1::GuestEvent event;
            event.mutable_thawed_in_time()->set_mounts(mounts);
            followers_.Publish(std::move(event));
          }),
      health_(context.get_executor(),
              {.defaults = defaults_,
               .program = program_,
               .cgroup_root = std::move(options.cgroup_root)},
              [this] {
                v1::GuestEvent event;
                event.mutable_health_changed();
                followers_.Publish(std::move(event));
              }) {
  if (options.terminate) terminate_.emplace(context, options.terminate.Release());
  // The end of a pipe or a connection is an error code here.
  signal(SIGPIPE, SIG_IGN);
  defaults_.open_files = RaiseOpenFiles();
  defaults_.dev_null.Reset(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

void Agent::Start() {
  asio::co_spawn(context_, Accept(), LogLost);
  asio::co_spawn(context_, FollowControl(), LogLost);
  if (terminate_) asio::co_spawn(context_, AwaitTermination(), LogLost);
  if (kernel_log_.empty()) return;
  if (const auto opened = oom_watch_.Open(kernel_log_); !opened) return Complain(opened.error());
  asio::co_spawn(context_, oom_watch_.Run(), LogLost);
}

void Agent::TakeOomKill(v1::OomKill kill) {
  v1::GuestEvent event;
  *event.mutable_oom_kill() = std::move(kill);
  followers_.Publish(std::move(event));
}

asio::awaitable<void> Agent::FollowControl() {
  BootRecord boot = co_await control_.ReadBoot(Deadline::In(kBootRecordTimeout));
  ReadSettings();
  if (boot.agent_starts > 1) freezer_.ThawLeftovers();
  asio::co_spawn(context_, Announce(std::move(boot)), LogLost);
  while (auto message = co_await control_.Read()) TakeControl(std::move(*message));
  Log(LogLevel::kError, "berth-agent", "PID 1 closed the control socket");
  context_.stop();
}

void Agent::TakeControl(ControlMessage message) {
  const ControlPacket packet = message.packet;
  logs_.Take(std::move(message));
  if (packet.kind == ControlKind::kShuttingDown) shutting_down_ = true;
  if (packet.kind == ControlKind::kHealthChanged) health_.Ring();
  if (packet.kind != ControlKind::kGoingDown) return;
  static_assert(static_cast<int>(ShutdownCause::kHost) == v1::GuestEvent::GoingDown::HOST &&
                static_cast<int>(ShutdownCause::kCrashLoop) ==
                    v1::GuestEvent::GoingDown::CRASH_LOOP);
  v1::GuestEvent event;
  auto& down = *event.mutable_going_down();
  down.set_mode(static_cast<v1::Shutdown::Mode>(packet.mode));
  down.set_cause(static_cast<v1::GuestEvent::GoingDown::Cause>(packet.cause));
  down.set_name(Utf8(std::string_view(packet.name, strnlen(packet.name, sizeof(packet.name))),
                     wire::kMaxServiceNameBytes));
  if (packet.main_exit_signal > 0) {
    down.set_signal(static_cast<uint32_t>(packet.main_exit_signal));
  } else if (packet.main_exit_code >= 0) {
    down.set_code(static_cast<uint32_t>(packet.main_exit_code));
  }
  followers_.Publish(std::move(event));
}

asio::awaitable<void> Agent::AwaitTermination() {
  if (co_await wire::AwaitReady(*terminate_, asio::posix::stream_descriptor::wait_read)) co_return;
  // PID 1 sends its last word in front of the signal: it may be waiting still.
  while (auto message = control_.TryRead()) TakeControl(std::move(*message));
  const Deadline deadline = Deadline::In(wire::kEventAckTimeout);
  co_await followers_.AwaitHeard(deadline);
  co_await logs_.AwaitHeard(deadline);
  terminated_ = true;
  context_.stop();
}

asio::awaitable<void> Agent::Announce(BootRecord boot) {
  const ReadyHeard heard =
      co_await SayReady(context_.get_executor(), host_, hello_, std::move(boot),
                        [this] { followers_.ExpectHost(false); });
  followers_.ExpectHost(heard.generation >= wire::kServiceGeneration);
  logs_.ExpectHost(heard.generation >= wire::kOperatorGeneration);
  if (!heard.ack.configure_follows()) co_await Configure(std::nullopt);
}

asio::awaitable<void> Agent::Configure(std::optional<std::string> toml) {
  if (std::exchange(configured_, true)) co_return;
  Result<ServiceOutcome> outcome = Fail("configure", EAGAIN, "PID 1 is busy");
  asio::steady_timer retry(context_);
  for (int attempt = 0; attempt < kConfigureAttempts; ++attempt) {
    ServiceLink link(context_.get_executor());
    if (auto asked = link.Ask(service_socket_, {.verb = ServiceVerb::kConfigure},
                              toml ? std::string_view(*toml) : std::string_view());
        !asked) {
      outcome = std::unexpected(asked.error());
    } else {
      outcome = co_await link.ReadAnswer(Deadline::In(kConfigureTimeout));
    }
    const int errnum = outcome ? outcome->answer.errnum : outcome.error().errnum;
    if (errnum == 0) ReadSettings();
    // An agent before this one may have brought it.
    if (errnum == 0 || errnum == EALREADY) co_return;
    if (errnum != EAGAIN && errnum != ECONNRESET) break;
    retry.expires_after(configure_retry_);
    boost::system::error_code ignored;
    co_await retry.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  const int errnum = outcome ? outcome->answer.errnum : outcome.error().errnum;
  // It was not heard: the host may bring it again.
  if (errnum == EAGAIN || errnum == ECONNRESET || errnum == ETIMEDOUT) configured_ = false;
  // Another PID 1 than berth-init waits for no configuration.
  if (!toml) co_return;
  v1::GuestEvent event;
  auto& refused = *event.mutable_configure_refused();
  refused.set_errnum(errnum);
  refused.set_mistakes(outcome ? ToReply(*outcome).message()
                               : Utf8(outcome.error().detail + "; " + outcome.error().hint));
  followers_.Publish(std::move(event));
}

asio::awaitable<void> Agent::Accept() {
  asio::steady_timer backoff(context_);
  listener_.non_blocking(true);
  for (;;) {
    while (connections_ >= kMaxConnections) co_await freed_.Wait();
    UniqueFd connection(accept4(listener_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC));
    if (connection) {
      if (const auto host = CheckPeer(connection.get()); !host) {
        Complain(host.error());
        continue;
      }
      ++connections_;
      asio::co_spawn(context_, Serve(std::move(connection)),
                     [this](const std::exception_ptr& lost) {
                       LogLost(lost);
                       --connections_;
                       freed_.Notify();
                     });
      continue;
    }
    boost::system::error_code code;
    if (errno == EAGAIN) {
      co_await listener_.async_wait(asio::posix::stream_descriptor::wait_read,
                                    asio::redirect_error(asio::use_awaitable, code));
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      Complain(Error{"accept", errno, {}, {}});
      backoff.expires_after(kAcceptBackoff);
      co_await backoff.async_wait(asio::redirect_error(asio::use_awaitable, code));
    } else if (errno == EINVAL || errno == EBADF || errno == ENOTSOCK) {
      Complain(Error{"accept", errno, "the listener is of no use", {}});
      context_.stop();
      co_return;
    }
    if (code) co_return;
  }
}

asio::awaitable<void> Agent::Serve(UniqueFd connection) {
  auto socket = wire::AdoptSocket(context_.get_executor(), std::move(connection));
  if (!socket) {
    Complain(socket.error());
    co_return;
  }
  auto channel = std::make_unique<wire::Channel>(std::move(*socket));
  std::string greeting;
  const auto generation = co_await Greet(*channel, greeting);
  if (!generation) {
    Complain(generation.error());
    co_return;
  }
  auto served = co_await ServeCalls(std::move(channel), std::move(greeting), *generation);
  if (!served) Complain(served.error());
}

asio::awaitable<Result<uint32_t>> Agent::Greet(wire::Channel& channel, std::string& greeting) {
  const auto theirs = co_await channel.ReadMessage(Deadline::In(wire::kHandshakeTimeout));
  if (!theirs) co_return std::unexpected(theirs.error());
  if (!theirs->has_hello()) co_return Fail("handshake", EPROTO, "the host did not say Hello first");
  v1::Envelope ours;
  *ours.mutable_hello() = hello_;
  auto encoded = wire::EncodeMessage(ours);
  if (!encoded) co_return std::unexpected(encoded.error());
  greeting = std::move(*encoded);
  const auto agreed = wire::Negotiate(hello_, theirs->hello());
  if (!agreed) {
    [[maybe_unused]] const auto told = co_await WriteFailure(channel, greeting, agreed.error());
  }
  co_return agreed;
}

asio::awaitable<Result<>> Agent::ServeCalls(std::unique_ptr<wire::Channel> channel,
                                            std::string greeting, uint32_t generation) {
  for (;;) {
    if (!greeting.empty() && !channel->HasUnreadBytes()) {
      // No request came along with the Hello: the host may be waiting for ours.
      auto sent = co_await channel->WriteBytes(std::as_bytes(std::span(greeting)),
                                               Deadline::In(wire::kCallTimeout));
      if (!sent) co_return sent;
      greeting.clear();
    }
    auto frame = co_await channel->Read(Deadline::In(wire::kIdleTimeout));
    if (!frame && frame.error().errnum == ETIMEDOUT) co_return Result<>{};
    if (!frame) co_return std::unexpected(frame.error());
    if (!*frame) co_return Result<>{};
    Result<v1::Envelope> answer = Fail("call", EPROTO, "data outside of a session");
    if ((*frame)->kind == wire::FrameKind::kMessage) {
      const auto request = wire::DecodeMessage((*frame)->payload);
      const StreamRow* const stream = request ? FindStream(*request, generation) : nullptr;
      if (stream != nullptr) {
        co_return co_await (this->*stream->serve)(std::move(channel), *request,
                                                  std::move(greeting));
      }
      const CallRow* const call = request ? FindCall(*request, generation) : nullptr;
      if (call != nullptr && call->slow && !greeting.empty()) {
        auto sent = co_await channel->WriteBytes(std::as_bytes(std::span(greeting)),
                                                 Deadline::In(wire::kCallTimeout));
        if (!sent) co_return sent;
        greeting.clear();
      }
      if (call != nullptr) {
        answer = co_await (this->*call->answer)(*channel, *request);
        if (!answer && answer.error().errnum == ECANCELED) co_return Result<>{};
      } else if (request) {
        answer = Fail("call", EPROTO, "a message that opens no call");
      } else {
        answer = std::unexpected(request.error());
      }
    }
    if (!answer) {
      [[maybe_unused]] const auto told = co_await WriteFailure(*channel, greeting, answer.error());
      co_return std::unexpected(answer.error());
    }
    const auto encoded = wire::EncodeMessage(*answer);
    if (!encoded) co_return std::unexpected(encoded.error());
    greeting += *encoded;
    auto sent = co_await channel->WriteBytes(std::as_bytes(std::span(greeting)),
                                             Deadline::In(wire::kCallTimeout));
    if (!sent) co_return sent;
    greeting.clear();
  }
}

asio::awaitable<Result<v1::Envelope>> Agent::AnswerPing(wire::Channel& /*channel*/,
                                                        const v1::Envelope& request) {
  co_return agent::AnswerPing(request.ping());
}

asio::awaitable<Result<v1::Envelope>> Agent::AnswerShutdown(wire::Channel& /*channel*/,
                                                            const v1::Envelope& request) {
  constexpr uint64_t kMaxMs =
      std::chrono::duration_cast<std::chrono::milliseconds>(wire::kMaxTimeout).count();
  const auto& shutdown = request.shutdown();
  if (!v1::Shutdown::Mode_IsValid(shutdown.mode()) || shutdown.grace_ms() > kMaxMs) {
    co_return Fail("shutdown", EINVAL, "an unknown mode or an impossible grace");
  }
  if (auto asked = control_.RequestShutdown(static_cast<ShutdownMode>(shutdown.mode()),
                                            static_cast<int64_t>(shutdown.grace_ms()));
      !asked) {
    co_return std::unexpected(asked.error());
  }
  v1::Envelope answer;
  answer.mutable_shutdown_ack();
  co_return answer;
}

asio::awaitable<Result<v1::Envelope>> Agent::AnswerService(wire::Channel& channel,
                                                           const v1::Envelope& request) {
  const auto call = ToRequest(request.service_call());
  if (!call) co_return std::unexpected(call.error());
  const auto link = std::make_shared<ServiceLink>(context_.get_executor());
  if (auto asked = link->Ask(service_socket_, *call, {}); !asked) {
    co_return std::unexpected(asked.error());
  }
  // A host that closes wants no answer: PID 1 has few places for those that wait.
  asio::co_spawn(context_, CancelOnHangUp(link, channel.socket()), LogLost);
  const Deadline deadline =
      Deadline::In(std::chrono::milliseconds(call->timeout_ms) + kServiceSlack);
  const auto outcome = co_await link->ReadAnswer(deadline);
  boost::system::error_code ignored;
  channel.socket().cancel(ignored);
  if (!outcome) co_return std::unexpected(outcome.error());
  v1::Envelope answer;
  *answer.mutable_service_reply() = ToReply(*outcome);
  co_return answer;
}

asio::awaitable<Result<>> Agent::ServeFollow(std::unique_ptr<wire::Channel> channel,
                                             const v1::Envelope& request, std::string greeting) {
  const v1::Follow& follow = request.follow();
  if (follow.configure().toml().size() > wire::kMaxConfigBytes) {
    const Error error{"follow", EMSGSIZE, "the configuration is too long", {}};
    co_return co_await WriteFailure(*channel, greeting, error);
  }
  if (!configured_) {
    std::optional<std::string> toml;
    if (follow.has_configure()) toml = follow.configure().toml();
    asio::co_spawn(context_, Configure(std::move(toml)), LogLost);
  }
  co_return co_await followers_.Serve(*channel, std::move(greeting));
}

asio::awaitable<Result<v1::Envelope>> Agent::AnswerStats(wire::Channel& /*channel*/,
                                                         const v1::Envelope& /*request*/) {
  v1::Envelope answer;
  *answer.mutable_stats_reply() = co_await CollectStats(context_.get_executor(), stats_);
  // By the ids that hosts know. What outlives its session keeps the cgroup's name.
  for (auto& group : *answer.mutable_stats_reply()->mutable_sessions()) {
    for (const auto& session : sessions_) {
      if (session->cgroup_name() == group.name()) group.set_name(session->id());
    }
  }
  co_return answer;
}

asio::awaitable<Result<>> Agent::WriteFailure(wire::Channel& channel, const std::string& greeting,
                                              const Error& error) {
  v1::Envelope message;
  *message.mutable_failure() = wire::ToFailure(error);
  const auto encoded = wire::EncodeMessage(message);
  if (!encoded) co_return std::unexpected(encoded.error());
  const std::string bytes = greeting + *encoded;
  co_return co_await channel.WriteBytes(std::as_bytes(std::span(bytes)),
                                        Deadline::In(wire::kCallTimeout));
}

void Agent::Complain(const Error& error) {
  if (!complaints_.Allow()) return;
  std::string line = error.Message();
  if (const long suppressed = complaints_.TakeSuppressed(); suppressed > 0) {
    line += " (and " + std::to_string(suppressed) + " more such lines)";
  }
  Log(LogLevel::kWarning, "berth-agent", line);
}

}  // namespace berth::agent
