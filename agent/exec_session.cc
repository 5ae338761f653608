// SPDX-License-Identifier: Apache-2.0
#include "agent/exec_session.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "agent/pty.h"
#include "protocol/base/clock.h"
#include "protocol/wire/handshake.h"

namespace berth::agent {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

// What one session may do before the others have their turn.
constexpr int kFramesPerRound = 16;
constexpr size_t kOutputBytesPerRound = 4 * BufferPool::kPayloadBytes;

// What SIGKILL ended closes its pipes a moment later.
constexpr auto kKilledDrainTime = 200ms;
// The rest of a process group whose leader heeded SIGHUP at once.
constexpr auto kStragglerGrace = 1s;
// How long the host may take to close after ExecExited.
constexpr auto kLingerTime = 2s;

uint64_t Microseconds(const timeval& time) {
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000 + static_cast<uint64_t>(time.tv_usec);
}

// Of the output of a detachable session, on its way to a host that does not read: the program
// waits.
constexpr size_t kMaxUnsentBytes = wire::kMaxScrollbackBytes / 4;

std::string NewId() {
  std::array<uint8_t, wire::kSessionIdBytes / 2> bytes{};
  [[maybe_unused]] const ssize_t n = getrandom(bytes.data(), bytes.size(), GRND_INSECURE);
  std::string id;
  for (const uint8_t byte : bytes) {
    for (const int shift : {4, 0}) id += "0123456789abcdef"[byte >> shift & 0xf];
  }
  return id;
}

std::string CommandOf(const v1::ExecStart& request) {
  std::string command;
  for (const std::string& each : request.argv()) {
    if (command.size() >= wire::kMaxCommandBytes) break;
    if (!command.empty()) command += ' ';
    command.append(each, 0, wire::kMaxCommandBytes);
  }
  return command;
}

std::chrono::milliseconds KillGrace(const v1::ExecStart& request) {
  if (request.kill_grace_ms() == 0) return wire::kDefaultKillGrace;
  return std::chrono::milliseconds(request.kill_grace_ms());
}

}  // namespace

ExecSession::ExecSession(std::unique_ptr<wire::Channel> channel, ExecChild child,
                         const v1::ExecStart& request, BufferPool& pool, OomWatch& oom_watch,
                         uint64_t oom_kills)
    : id_(NewId()),
      command_(CommandOf(request)),
      cgroup_(std::move(child.cgroup)),
      executor_(channel->executor()),
      channel_(std::move(channel)),
      pool_(pool),
      oom_watch_(oom_watch),
      oom_kills_before_(oom_kills),
      wake_(executor_),
      timer_(executor_),
      outbox_(channel_->socket().native_handle()),
      from_host_{.ready = channel_->HasUnreadBytes()},
      pid_(child.process.pid),
      tty_(child.tty),
      stdin_queue_(child.input.get(), child.tty, pool),
      child_(executor_, std::move(child.process.pidfd)),
      stdin_(executor_, std::move(child.input)),
      stdout_(wire::Stream::kStdout, executor_, std::move(child.output)),
      stderr_(wire::Stream::kStderr, executor_, std::move(child.error)),
      timeout_(request.timeout_ms()),
      kill_grace_(KillGrace(request)),
      started_ns_(MonotonicNs()) {
  if (request.detach()) kept_.emplace();
}

ExecSession::~ExecSession() {
  if (reaped_) return;
  // Only where the agent itself ends, or memory or epoll had no room for the session.
  SignalAll(SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

asio::awaitable<void> ExecSession::Run(std::string greeting) {
  outbox_.Push(greeting);
  v1::Envelope started;
  started.mutable_exec_started()->set_pid(static_cast<uint32_t>(pid_));
  started.mutable_exec_started()->set_session(id_);
  outbox_.Push(started);
  if (timeout_ > 0ms) StartTimer(timeout_);
  Glance();
  for (;;) {
    const bool more = Round();
    if (phase_ == Phase::kDone) break;
    ArmAll();
    if (more) {
      co_await asio::post(executor_, asio::use_awaitable);
    } else {
      co_await wake_.Wait();
    }
  }
  Close();
}

ExecSession::Descriptor& ExecSession::LazyDescriptor::Watched() {
  if (fd_) {
    watched_.assign(
        fd_.get());  // throws where epoll takes no more; the descriptor is then still ours
    [[maybe_unused]] const int taken = fd_.Release();
  }
  return watched_;
}

void ExecSession::LazyDescriptor::Close() {
  number_ = -1;
  fd_.Reset();
  boost::system::error_code ignored;
  watched_.close(ignored);
}

// One system call instead of a registration for each descriptor, where the program is short.
void ExecSession::Glance() {
  pollfd states[] = {
      {child_.get(), POLLIN, 0}, {stdout_.fd.get(), POLLIN, 0}, {stderr_.fd.get(), POLLIN, 0}};
  if (poll(states, std::size(states), 0) <= 0) return;
  child_watch_.ready = states[0].revents != 0;
  stdout_.watch.ready = states[1].revents != 0;
  stderr_.watch.ready = states[2].revents != 0;
}

void ExecSession::Arm(LazyDescriptor& fd, Descriptor::wait_type type, Watch& watch) {
  if (!watch.ready && !watch.pending) Arm(fd.Watched(), type, watch);
}

template <typename Object, typename Type>
void ExecSession::Arm(Object& object, Type type, Watch& watch) {
  if (watch.ready || watch.pending) return;
  watch.pending = true;
  object.async_wait(type, [weak = weak_from_this(), &watch](const boost::system::error_code& code) {
    const auto self = weak.lock();
    if (!self) return;
    watch.pending = false;
    if (code == asio::error::operation_aborted) return;
    watch.ready = true;
    self->wake_.Notify();
  });
}

void ExecSession::ArmAll() {
  auto& socket = channel_->socket();
  if (attached()) {
    Arm(socket, wire::Socket::wait_read, from_host_);
    if (!outbox_.empty()) Arm(socket, wire::Socket::wait_write, to_host_);
  }
  if (stdin_.is_open() && stdin_queue_.blocked()) {
    Arm(stdin_, Descriptor::wait_write, stdin_watch_);
  }
  for (Output* output : {&stdout_, &stderr_}) {
    if (output->fd.is_open()) Arm(output->fd, Descriptor::wait_read, output->watch);
  }
  if (!reaped_ && !leader_ended_) Arm(child_, Descriptor::wait_read, child_watch_);
}

bool ExecSession::Round() {
  bool more = ReadHost();
  if (stdin_watch_.ready && stdin_.is_open()) {
    stdin_watch_.ready = false;
    stdin_queue_.Feed();
  }
  AfterStdin();
  LookAtChild();
  more |= ReadOutput(stdout_);
  more |= ReadOutput(stderr_);
  if (phase_ == Phase::kDraining && !stdout_.fd.is_open() && !stderr_.fd.is_open()) SendExited();
  Send();
  // What was held back for a full outbox goes on as soon as there is room: no event will tell.
  for (const Output* output : {&stdout_, &stderr_}) {
    more |= output->fd.is_open() && output->watch.ready && OutputHasRoom();
  }
  return more;
}

// --- The host ---

bool ExecSession::ReadHost() {
  for (int frames = 0; from_host_.ready && attached(); ++frames) {
    if (frames == kFramesPerRound) return true;
    const auto attempt = channel_->TryRead();
    if (!attempt) {
      if (attempt.error().errnum == EPROTO || attempt.error().errnum == EMSGSIZE) {
        HostBrokeTheProtocol(attempt.error());
      } else {
        HostIsGone();
      }
    } else if (attempt->state == wire::TryFrame::State::kWouldBlock) {
      from_host_.ready = false;
    } else if (attempt->state == wire::TryFrame::State::kClosed) {
      HostIsGone();
    } else if (const auto handled = HandleFrame(attempt->frame); !handled) {
      HostBrokeTheProtocol(handled.error());
    }
  }
  return false;
}

Result<> ExecSession::HandleFrame(const wire::FrameView& frame) {
  if (phase_ != Phase::kRunning) return {};  // it crossed the program's end
  if (frame.kind == wire::FrameKind::kMessage) return HandleMessage(frame.payload);
  if (frame.stream != wire::Stream::kStdin) {
    return Fail("exec", EPROTO, "data for a stream that is not stdin");
  }
  if (frame.kind == wire::FrameKind::kEnd) return stdin_queue_.TakeEnd();
  return stdin_queue_.Take(frame.payload);
}

Result<> ExecSession::HandleMessage(std::span<const std::byte> payload) {
  BERTH_ASSIGN(const v1::Envelope message, wire::DecodeMessage(payload));
  if (message.has_exec_signal()) {
    const uint32_t signal = message.exec_signal().signal();
    if (signal < 1 || signal > static_cast<uint32_t>(wire::kMaxSignal)) {
      return Fail("exec", EPROTO, "signal " + std::to_string(signal) + " does not exist");
    }
    SignalForeground(static_cast<int>(signal));
    return {};
  }
  if (message.has_exec_resize()) {
    const uint32_t rows = message.exec_resize().rows();
    const uint32_t columns = message.exec_resize().columns();
    if (rows > wire::kMaxWindowCells || columns > wire::kMaxWindowCells) {
      return Fail("exec", EPROTO, "a terminal of an impossible size");
    }
    // A size that the terminal cannot have any more, for it is gone, is nobody's error.
    if (tty_ && stdout_.fd.is_open()) {
      [[maybe_unused]] const auto resized = ResizePty(stdout_.fd.get(), rows, columns);
    }
    return {};
  }
  return Fail("exec", EPROTO, "a message that has no place in an exec session");
}

void ExecSession::HostBrokeTheProtocol(const Error& error) {
  v1::Envelope message;
  *message.mutable_failure() = wire::ToFailure(error);
  outbox_.Push(message);
  // What the socket does not take now is lost: this host does not deserve a wait.
  [[maybe_unused]] const auto sent = outbox_.Flush();
  HostIsGone();
}

void ExecSession::HostIsGone() {
  channel_->Close();
  if (kept_) {
    outbox_.Reset(-1);
    // How it ended can be heard again.
    if (phase_ == Phase::kSending) StartTimer(wire::kKeepEnded);
    return;
  }
  if (phase_ != Phase::kRunning) {
    phase_ = reaped_ ? Phase::kDone : phase_;
    return;
  }
  phase_ = Phase::kHangup;
  if (tty_ && stdout_.fd.is_open()) foreground_ = ForegroundGroup(stdout_.fd.get());
  SignalAll(SIGHUP);
  SignalAll(SIGCONT);  // what is stopped could not heed it
  for (LazyDescriptor* each : {&stdin_, &stdout_.fd, &stderr_.fd}) each->Close();
  StartTimer(kill_grace_);
}

void ExecSession::AfterStdin() {
  if (phase_ != Phase::kRunning || !stdin_.is_open()) return;
  if (stdin_queue_.TakeClosedByProgram() && attached()) outbox_.PushEnd(wire::Stream::kStdin);
  if (stdin_queue_.finished()) stdin_.Close();
}

// Only into an empty outbox: a host that sends and does not read gets no further credit.
bool ExecSession::PushCredit() {
  const size_t credit = phase_ == Phase::kRunning ? stdin_queue_.TakeCredit() : 0;
  if (credit == 0) return false;
  v1::Envelope message;
  message.mutable_stream_credit()->set_stream(static_cast<uint32_t>(wire::Stream::kStdin));
  message.mutable_stream_credit()->set_bytes(static_cast<uint32_t>(credit));
  outbox_.Push(message);
  return true;
}

void ExecSession::Send() {
  to_host_.ready = false;
  if (!attached()) return;
  do {
    if (!outbox_.Flush()) return HostIsGone();
  } while (outbox_.empty() && (PushCredit() || PushKept()));
  if (phase_ != Phase::kSending || !outbox_.empty()) return;
  if (kept_) {
    // The host closes, having heard all.
    if (!std::exchange(lingering_, true)) StartTimer(kLingerTime);
    return;
  }
  // Closing while the host's stdin is still on its way would reset the connection under what it has
  // not read yet.
  if (stdin_queue_.ended()) {
    phase_ = Phase::kDone;
  } else if (!std::exchange(lingering_, true)) {
    StartTimer(kLingerTime);
  }
}

// --- The program ---

bool ExecSession::OutputHasRoom() const {
  if (!kept_) return outbox_.CanTakeData();
  return !attached() || kept_->unsent() < kMaxUnsentBytes;
}

bool ExecSession::ReadOutput(Output& output) {
  size_t bytes = 0;
  while (output.fd.is_open() && output.watch.ready && OutputHasRoom()) {
    if (reaped_ && !MayStillDrain(output)) {
      FinishOutput(output, true);
      break;
    }
    if (bytes >= kOutputBytesPerRound) return true;
    BufferPool::Buffer buffer = pool_.Take();
    const auto room = buffer.bytes().subspan(wire::kFrameHeaderBytes);
    const ssize_t n = read(output.fd.get(), room.data(), room.size());
    if (n > 0) {
      const auto taken = static_cast<size_t>(n);
      bytes += taken;
      output.left_at_exit -= std::min(output.left_at_exit, taken);
      // A pipe that gives less than was asked for is empty; a terminal gives line by line.
      if (taken < room.size() && !tty_ && !reaped_) output.watch.ready = false;
      if (kept_) {
        kept_->Append(output.stream, room.first(taken));
      } else {
        outbox_.PushData(output.stream, std::move(buffer), taken);
      }
      Send();
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else if (n < 0 && errno == EAGAIN) {
      output.watch.ready = false;
      if (reaped_ && (!forced() || drain_expired_)) FinishOutput(output, true);
    } else {
      // The end; for a terminal it is EIO.
      FinishOutput(output, false);
    }
  }
  return false;
}

// After the program's end: true while the pipe has what was in it then, or nobody can add to it.
bool ExecSession::MayStillDrain(Output& output) {
  if (drain_expired_) return false;
  if (tty_ || output.left_at_exit > 0 || forced()) return true;
  pollfd state{.fd = output.fd.get(), .events = POLLIN, .revents = 0};
  return poll(&state, 1, 0) == 1 && (state.revents & POLLHUP) != 0;
}

void ExecSession::FinishOutput(Output& output, bool held) {
  output.held = held;
  output.fd.Close();
  if (!kept_) outbox_.PushEnd(output.stream);
}

void ExecSession::LookAtChild() {
  if (!child_watch_.ready || reaped_ || leader_ended_) return;
  // The wait may have ended without a cause (protocol/wire/readiness.h).
  siginfo_t ended = {};
  if (waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
      ended.si_pid == 0) {
    child_watch_.ready = false;
    return;
  }
  if (phase_ != Phase::kHangup || killed_) return Reap();
  // The leader stays a zombie until the rest of its group had its grace: it keeps their number.
  leader_ended_ = true;
  StartTimer(std::min<std::chrono::nanoseconds>(kill_grace_, kStragglerGrace));
}

void ExecSession::Reap() {
  // Before the leader is reaped, while its number is still its group's.
  if (forced()) SignalAll(SIGKILL);
  wait4(pid_, &status_, WNOHANG, &usage_);
  reaped_ = true;
  ended_ns_ = MonotonicNs();
  if (phase_ == Phase::kHangup) {
    phase_ = Phase::kDone;
    return;
  }
  phase_ = Phase::kDraining;
  ++timer_epoch_;
  for (Output* output : {&stdout_, &stderr_}) {
    if (!output->fd.is_open()) continue;
    int bytes = 0;
    if (ioctl(output->fd.get(), FIONREAD, &bytes) == 0 && bytes > 0) {
      output->left_at_exit = static_cast<size_t>(bytes);
    }
    output->watch.ready = true;
  }
  if (forced()) StartTimer(kKilledDrainTime);
}

void ExecSession::SendExited() {
  ++timer_epoch_;
  v1::Envelope message;
  auto& exited = *message.mutable_exec_exited();
  if (WIFSIGNALED(status_)) {
    exited.set_signal(static_cast<uint32_t>(WTERMSIG(status_)));
    exited.set_core_dumped(WCOREDUMP(status_));
  } else {
    exited.set_code(static_cast<uint32_t>(WEXITSTATUS(status_)));
  }
  exited.set_timed_out(timed_out_);
  exited.set_user_us(Microseconds(usage_.ru_utime));
  exited.set_system_us(Microseconds(usage_.ru_stime));
  exited.set_max_rss_kib(static_cast<uint64_t>(usage_.ru_maxrss));
  exited.set_wall_us(static_cast<uint64_t>(ended_ns_ - started_ns_) / 1000);
  exited.set_output_held(stdout_.held || stderr_.held);
  if (status_ != 0) {
    oom_watch_.TakeNow();
    if (oom_watch_.kills() != oom_kills_before_) *exited.mutable_oom_kill() = oom_watch_.last();
  }
  phase_ = Phase::kSending;
  if (!kept_) {
    outbox_.Push(message);
    return;
  }
  exited_ = std::move(message);
  StartTimer(wire::kKeepEnded);
}

void ExecSession::Close() {
  ++timer_epoch_;
  timer_.cancel();
  for (LazyDescriptor* each : {&child_, &stdin_, &stdout_.fd, &stderr_.fd}) each->Close();
  channel_->Close();
}

// --- Time and signals ---

void ExecSession::StartTimer(std::chrono::nanoseconds from_now) {
  const uint64_t epoch = ++timer_epoch_;
  timer_.expires_after(from_now);
  timer_.async_wait([weak = weak_from_this(), epoch](const boost::system::error_code& code) {
    const auto self = weak.lock();
    if (!self || code || epoch != self->timer_epoch_) return;
    self->OnTimer();
    self->wake_.Notify();
  });
}

void ExecSession::OnTimer() {
  switch (phase_) {
    case Phase::kRunning:
      if (!forced()) {
        timed_out_ = true;
        SignalAll(SIGTERM);
        SignalAll(SIGCONT);
        StartTimer(kill_grace_);
      } else {
        SignalAll(SIGKILL);
      }
      break;
    case Phase::kHangup:
      SignalAll(SIGKILL);
      killed_ = true;
      if (leader_ended_) Reap();
      break;
    case Phase::kDraining:
      drain_expired_ = true;
      stdout_.watch.ready = stderr_.watch.ready = true;
      break;
    case Phase::kSending:
      if (kept_ && lingering_ && attached()) {
        HostIsGone();
      } else {
        phase_ = Phase::kDone;
      }
      break;
    case Phase::kDone:
      break;
  }
}

// As the keys of a terminal would; without one, to the session's own process group.
void ExecSession::SignalForeground(int signal) {
  if (reaped_) return;
  pid_t group = pid_;
  if (tty_ && stdout_.fd.is_open()) {
    const pid_t foreground = ForegroundGroup(stdout_.fd.get());
    if (foreground > 0) group = foreground;
  }
  kill(-group, signal);
}

void ExecSession::SignalAll(int signal) {
  if (reaped_) return;
  if (signal == SIGKILL) cgroup_.KillAll();
  kill(-pid_, signal);
  pid_t foreground = foreground_;
  if (tty_ && stdout_.fd.is_open()) foreground = ForegroundGroup(stdout_.fd.get());
  // Still a group of this session: its number may have gone to another since.
  if (foreground > 0 && foreground != pid_ && getsid(foreground) == pid_) {
    kill(-foreground, signal);
  }
}

}  // namespace berth::agent
