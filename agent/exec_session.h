// SPDX-License-Identifier: Apache-2.0
//
// ExecSession: one running program and the connection it belongs to.
//
// It goes in rounds. A round does all that can be done now, with system calls that never wait: take
// frames from the host, feed stdin, read stdout and stderr, send, look at the child. Then it waits
// for whatever was missing. So one slow end (a host that does not read, a program that does not
// read) stops what depends on it and nothing else. A program that has ended before the first round
// is never waited for: its whole session is one packet.
//
// The end, in order: the program ends (its pidfd is readable); what it left in its pipes is
// drained; ExecExited is sent behind it; the connection closes. A background process that still
// holds stdout does not hold the session: what it writes later is not drained. If the host goes
// away first, the session's processes get SIGHUP, and SIGKILL after a grace.
//
// A session with ExecStart.detach outlives its connection, and waits for another one (ExecAttach).
// Its output goes through a Scrollback, which keeps the last of it: with a host at its other end
// the program is slowed down by it, without one the oldest is dropped. Once ended it waits for
// wire::kKeepEnded to be heard.
//
// Owned by the agent; not by its own coroutine, which it owns by way of `wake_`. Runs on the
// agent's one thread.
#ifndef BERTH_AGENT_EXEC_SESSION_H_
#define BERTH_AGENT_EXEC_SESSION_H_

#include <sys/resource.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "agent/buffer_pool.h"
#include "agent/event.h"
#include "agent/exec_child.h"
#include "agent/oom_watch.h"
#include "agent/outbox.h"
#include "agent/scrollback.h"
#include "agent/session_cgroups.h"
#include "agent/stdin_queue.h"
#include "protocol/wire/channel.h"

namespace berth::agent {

class ExecSession : public std::enable_shared_from_this<ExecSession> {
 public:
  // `request` is what `child` was started from, `oom_kills` how many `oom_watch` had seen then. It
  // and the pool outlive the session.
  ExecSession(std::unique_ptr<wire::Channel> channel, ExecChild child, const v1::ExecStart& request,
              BufferPool& pool, OomWatch& oom_watch, uint64_t oom_kills);
  ExecSession(const ExecSession&) = delete;
  ExecSession& operator=(const ExecSession&) = delete;
  ~ExecSession();

  // Until everything is sent or the host is gone, and the child is reaped. `greeting` are frames
  // that go out in front of ExecStarted. The session outlives it.
  boost::asio::awaitable<void> Run(std::string greeting);

  const std::string& id() const { return id_; }
  // Below SessionCgroups'; empty: it has none.
  const std::string& cgroup_name() const { return cgroup_.name(); }
  bool detachable() const { return kept_.has_value(); }
  bool ended() const { return phase_ == Phase::kSending || phase_ == Phase::kDone; }
  // Nothing is left of it but the end of its coroutine.
  bool done() const { return phase_ == Phase::kDone; }
  // Of one that is detachable: `channel`, on which `greeting` goes out first, takes the place of
  // the connection that it has, if any.
  void Attach(std::unique_ptr<wire::Channel> channel, std::string_view greeting,
              const v1::ExecAttach& request);
  void Signal(int signal) { SignalForeground(signal); }
  // SIGTERM, and SIGKILL to all of it after the grace; one that has ended is done.
  void End();
  v1::SessionsReply::Session Row() const;

 private:
  using Descriptor = boost::asio::posix::stream_descriptor;

  // A descriptor that epoll learns of only when there is something to wait for.
  class LazyDescriptor {
   public:
    LazyDescriptor(const boost::asio::any_io_executor& executor, UniqueFd fd)
        : number_(fd.get()), fd_(std::move(fd)), watched_(executor) {}
    bool is_open() const { return number_ >= 0; }
    int get() const { return number_; }
    Descriptor& Watched();
    void Close();

   private:
    int number_;   // -1: closed
    UniqueFd fd_;  // until it is watched
    Descriptor watched_;
  };

  // What is known about one direction of a descriptor.
  struct Watch {
    bool ready = false;    // a system call is worth trying
    bool pending = false;  // a handler will set `ready`
  };

  struct Output {
    wire::Stream stream{};
    LazyDescriptor fd;
    Watch watch;
    size_t left_at_exit = 0;  // bytes in the pipe when the program ended, less those drained since
    bool held = false;        // something else still had it open when the session ended
    bool end_sent = false;    // to the connection there is
    Output(wire::Stream its_stream, const boost::asio::any_io_executor& executor, UniqueFd its_fd)
        : stream(its_stream), fd(executor, std::move(its_fd)) {}
  };

  enum class Phase {
    kRunning,   // the program runs and the host listens
    kHangup,    // the host is gone: SIGHUP was sent, SIGKILL comes
    kDraining,  // the program has ended
    kSending,   // ExecExited is in the outbox
    kDone,
  };

  void Glance();
  template <typename Object, typename Type>
  void Arm(Object& object, Type type, Watch& watch);
  void Arm(LazyDescriptor& fd, Descriptor::wait_type type, Watch& watch);
  void ArmAll();

  // Each returns true where it stopped although it could go on, to let others have their turn.
  bool Round();
  bool attached() const { return !channel_->closed(); }
  bool OutputHasRoom() const;
  // Puts what a detachable session keeps into the outbox; false: there is nothing more, or no room.
  bool PushKept();
  bool ReadHost();
  bool ReadOutput(Output& output);

  Result<> HandleFrame(const wire::FrameView& frame);
  Result<> HandleMessage(std::span<const std::byte> payload);
  void HostIsGone();
  // The end of the session's processes was asked for: by its timeout, or by End.
  bool forced() const { return timed_out_ || ending_; }
  void HostBrokeTheProtocol(const Error& error);
  void AfterStdin();
  bool PushCredit();
  void Send();

  void FinishOutput(Output& output, bool held);
  bool MayStillDrain(Output& output);
  void LookAtChild();
  void Reap();
  void SendExited();
  void Close();

  void StartTimer(std::chrono::nanoseconds from_now);
  void OnTimer();
  void SignalForeground(int signal);
  void SignalAll(int signal);

  const std::string id_;
  const std::string command_;
  const SessionCgroups::Lease cgroup_;
  const boost::asio::any_io_executor executor_;
  std::unique_ptr<wire::Channel> channel_;  // closed: no host is there
  BufferPool& pool_;
  OomWatch& oom_watch_;
  const uint64_t oom_kills_before_;
  Event wake_;
  boost::asio::steady_timer timer_;
  Outbox outbox_;
  std::optional<Scrollback> kept_;      // of a session that is detachable
  std::optional<v1::Envelope> exited_;  // its ExecExited, until it has been pushed for each host
  bool exited_sent_ = false;            // to the connection there is
  Watch from_host_{.ready = true};
  Watch to_host_;

  pid_t pid_;
  bool tty_;
  StdinQueue stdin_queue_;
  LazyDescriptor child_;  // pidfd
  Watch child_watch_;
  LazyDescriptor stdin_;
  Watch stdin_watch_;
  Output stdout_;
  Output stderr_;

  Phase phase_ = Phase::kRunning;
  std::chrono::milliseconds timeout_;
  std::chrono::milliseconds kill_grace_;
  uint64_t timer_epoch_ = 0;  // which wait the timer stands for
  pid_t foreground_ = -1;     // at hang-up: the terminal's foreground process group
  bool timed_out_ = false;
  bool ending_ = false;
  bool killed_ = false;        // SIGKILL was sent
  bool leader_ended_ = false;  // at hang-up: the program ended, its group may not have
  bool lingering_ = false;     // all is sent; the host has not closed yet
  bool reaped_ = false;
  bool drain_expired_ = false;  // what is still in the pipes stays there
  int64_t started_ns_;
  int64_t ended_ns_ = 0;
  int status_ = 0;
  rusage usage_{};
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EXEC_SESSION_H_
