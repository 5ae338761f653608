// SPDX-License-Identifier: Apache-2.0
#include "supervisor/guest/exec_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/text.h"
#include "protocol/wire/channel.h"
#include "protocol/wire/handshake.h"
#include "supervisor/guest/call.h"
#include "supervisor/guest/exec_link.h"
#include "supervisor/guest/oom_kill.h"
#include "supervisor/guest/output_fd.h"
#include "supervisor/guest/signal_capture.h"
#include "supervisor/guest/terminal.h"

namespace berth::guest {
namespace {

// From the request to ExecStarted: the guest starts a program in between.
constexpr auto kStartTimeout = wire::kHandshakeTimeout + wire::kCallTimeout;
// So many signals that ask for the end, within so long, end the session whatever the program does.
constexpr int kLastRequestToEnd = 3;
constexpr auto kPatience = std::chrono::seconds(3);
// Frames and chunks handled before signals and stdin have their turn.
constexpr int kStepsPerTurn = 32;

class Session {
 public:
  Session(UniqueFd connection, const ExecStreams& streams)
      : connection_(std::move(connection)),
        streams_(streams),
        link_(connection_.get()),
        out_(streams.stdout_fd),
        err_(streams.stderr_fd),
        tty_(streams.tty),
        stdin_done_(!streams.stdin_open || streams.stdin_fd < 0),
        start_deadline_(Deadline::In(kStartTimeout)) {}

  Result<ExecOutcome> Run();

 private:
  enum class Phase { kHello, kStart, kRunning, kEnded };

  struct Unwritten {
    OutputFd* to = nullptr;
    std::span<const std::byte> bytes;  // in buffer_
  };

  Result<> Turn(SignalCapture* signals);
  Result<> ReadGuest();
  Result<> HandleFrame(const wire::FrameView& frame);
  Result<> HandleMessage(const v1::Envelope& message);
  Result<> TakeStart(const v1::Envelope& message);
  Result<> WriteOutput();
  void ReadStdin();
  Result<> HandleSignal(int signal);
  void SendSize();
  int PollTimeoutMs() const;
  Result<> CheckDeadlines() const;
  bool WantsStdin() {
    return phase_ == Phase::kRunning && !stdin_done_ && !link_.StdinRoom().empty();
  }

  UniqueFd connection_;
  const ExecStreams& streams_;
  ExecLink link_;
  OutputFd out_;
  OutputFd err_;
  wire::FrameBuffer buffer_;
  Unwritten unwritten_;          // blocks reading from the guest: that is the flow control
  bool more_ = false;            // frames may wait in buffer_ though the socket has nothing
  std::array<bool, 3> ended_{};  // the guest's streams
  std::optional<RawTerminal> terminal_;
  bool tty_;
  bool stdin_done_;
  Phase phase_ = Phase::kHello;
  Deadline start_deadline_;
  std::optional<Deadline> frame_deadline_;
  Deadline patience_{Deadline::Clock::time_point::min()};  // until when ending signals are counted
  int asked_to_end_ = 0;
  ExecOutcome outcome_;
};

std::unexpected<Error> Broken(std::string detail) {
  return Fail("session", EPROTO, std::move(detail));
}

Result<ExecOutcome> Session::Run() {
  std::optional<SignalCapture> signals;
  if (streams_.take_signals) {
    if (streams_.tty || streams_.attach) {
      signals.emplace({SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH, SIGCONT});
    } else {
      signals.emplace({SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2});
    }
  } else {
    signals.emplace(std::initializer_list<int>{});  // SIGPIPE alone
  }
  // After the signals are held, so that none can end us while the terminal is raw.
  if (tty_ && !streams_.detach) terminal_.emplace(stdin_done_ ? -1 : streams_.stdin_fd);
  Result<> turned;
  while (turned && phase_ != Phase::kEnded) turned = Turn(&*signals);
  terminal_.reset();  // before the signals are let go
  if (!turned) return std::unexpected(std::move(turned.error()));
  return outcome_;
}

Result<> Session::Turn(SignalCapture* signals) {
  enum { kGuest, kSignals, kStdin, kOutput, kCount };
  std::array<pollfd, kCount> watched;
  watched.fill({.fd = -1, .events = 0, .revents = 0});
  watched[kSignals] = {.fd = signals->fd(), .events = POLLIN, .revents = 0};
  const bool writing = unwritten_.to != nullptr;
  const auto guest_events =
      static_cast<short>((writing ? 0 : POLLIN) | (link_.empty() ? 0 : POLLOUT));
  // Without events the kernel would still report a hang-up, again and again.
  if (guest_events != 0) watched[kGuest] = {connection_.get(), guest_events, 0};
  if (WantsStdin()) watched[kStdin] = {streams_.stdin_fd, POLLIN, 0};
  if (writing) watched[kOutput] = {unwritten_.to->poll_fd(), POLLOUT, 0};

  if (poll(watched.data(), watched.size(), PollTimeoutMs()) < 0 && errno != EINTR) {
    return ErrnoError("session", "poll");
  }
  while (const auto signal = signals->Take()) BERTH_TRY(HandleSignal(*signal));
  if (watched[kStdin].revents != 0) ReadStdin();
  BERTH_TRY(WriteOutput());
  if (watched[kGuest].revents != 0 || more_) BERTH_TRY(ReadGuest());
  BERTH_TRY(link_.Flush());
  return CheckDeadlines();
}

int Session::PollTimeoutMs() const {
  if (more_ && unwritten_.to == nullptr) return 0;
  if (phase_ == Phase::kHello || phase_ == Phase::kStart) return start_deadline_.PollTimeoutMs();
  return frame_deadline_ && unwritten_.to == nullptr ? frame_deadline_->PollTimeoutMs() : -1;
}

Result<> Session::CheckDeadlines() const {
  if (phase_ == Phase::kHello || phase_ == Phase::kStart) {
    if (!start_deadline_.Passed()) return {};
    return Fail("session", ETIMEDOUT, "the guest's agent did not start the program in time",
                "the guest may be short of memory or CPU: see its console.log");
  }
  if (frame_deadline_ && unwritten_.to == nullptr && frame_deadline_->Passed()) {
    return Fail("session", ETIMEDOUT, "the rest of a frame from the guest did not arrive in time");
  }
  return {};
}

// --- From the guest ---

Result<> Session::ReadGuest() {
  more_ = true;
  for (int steps = 0; steps < kStepsPerTurn && unwritten_.to == nullptr; ++steps) {
    BERTH_ASSIGN(const auto frame, buffer_.Next());
    if (frame) {
      frame_deadline_.reset();
      BERTH_TRY(HandleFrame(*frame));
      if (phase_ == Phase::kEnded) return {};
      continue;
    }
    const std::span<std::byte> room = buffer_.Prepare();
    const ssize_t n = recv(connection_.get(), room.data(), room.size(), MSG_DONTWAIT);
    if (n > 0) {
      buffer_.Commit(static_cast<size_t>(n));
    } else if (n < 0 && errno == EAGAIN) {
      more_ = false;
      if (!buffer_.InsideFrame()) {
        frame_deadline_.reset();
      } else if (!frame_deadline_) {
        frame_deadline_ = Deadline::In(wire::kFrameTimeout);
      }
      return {};
    } else if (n == 0 || errno != EINTR) {
      return Fail("session", n == 0 ? ECONNRESET : errno,
                  "the session ended before its program did: the agent or the VM went away",
                  "see the VM's status");
    }
  }
  return {};
}

Result<> Session::HandleFrame(const wire::FrameView& frame) {
  if (frame.kind == wire::FrameKind::kMessage) {
    BERTH_ASSIGN(const v1::Envelope message, wire::DecodeMessage(frame.payload));
    return HandleMessage(message);
  }
  if (phase_ != Phase::kRunning) return Broken("the guest sent data before ExecStarted");
  bool& ended = ended_[static_cast<size_t>(frame.stream)];
  if (ended) return Broken("the guest sent data behind the end of its stream");
  if (frame.kind == wire::FrameKind::kEnd) {
    ended = true;
    // The end of stdin: the program closed it, and nobody will read what we would send.
    if (frame.stream == wire::Stream::kStdin) stdin_done_ = true;
    return {};
  }
  if (frame.stream == wire::Stream::kStdin) return Broken("the guest sent data on stdin");
  unwritten_ = {frame.stream == wire::Stream::kStdout ? &out_ : &err_, frame.payload};
  return WriteOutput();
}

Result<> Session::HandleMessage(const v1::Envelope& message) {
  if (phase_ == Phase::kHello) {
    BERTH_ASSIGN(const uint32_t generation, CheckGuestHello(message));
    if ((streams_.detach || streams_.attach) && generation < wire::kOperatorGeneration) {
      return Fail("guest", EPROTONOSUPPORT,
                  "its agent speaks protocol generation " + std::to_string(generation) +
                      ", in which sessions end with their connection",
                  "rebuild its image with this release");
    }
    if (streams_.instance_id != nullptr) {
      *streams_.instance_id = wire::HexOfId(message.hello().instance_id());
    }
    phase_ = Phase::kStart;
    return {};
  }
  if (message.has_failure()) return std::unexpected(wire::FromFailure(message.failure()));
  if (phase_ == Phase::kStart) return TakeStart(message);
  if (message.has_stream_credit()) {
    if (message.stream_credit().stream() != static_cast<uint32_t>(wire::Stream::kStdin)) {
      return Broken("the guest granted credit for a stream that is not stdin");
    }
    return link_.Grant(message.stream_credit().bytes());
  }
  if (!message.has_exec_exited()) return Broken("a message that has no place in an exec session");
  const v1::ExecExited& exited = message.exec_exited();
  if (exited.how_case() == v1::ExecExited::kCode) outcome_.code = exited.code();
  if (exited.how_case() == v1::ExecExited::kSignal) outcome_.signal = exited.signal();
  if (outcome_.code.value_or(256) > 255 && outcome_.signal.value_or(0) - 1 >= wire::kMaxSignal) {
    return Broken("ExecExited has neither an exit code nor a signal");
  }
  outcome_.core_dumped = exited.core_dumped();
  outcome_.timed_out = exited.timed_out();
  outcome_.output_held = exited.output_held();
  if (exited.has_oom_kill()) outcome_.oom_kill = ExplainOomKill(exited.oom_kill());
  outcome_.user_us = exited.user_us();
  outcome_.system_us = exited.system_us();
  outcome_.max_rss_kib = exited.max_rss_kib();
  outcome_.wall_us = exited.wall_us();
  phase_ = Phase::kEnded;
  return {};
}

Result<> Session::TakeStart(const v1::Envelope& message) {
  phase_ = Phase::kRunning;
  if (!streams_.attach) {
    if (!message.has_exec_started()) return Broken("the guest did not answer with ExecStarted");
    outcome_.pid = message.exec_started().pid();
    outcome_.session = Printable(message.exec_started().session(), wire::kSessionIdBytes);
    if (!streams_.detach) return {};
    if (outcome_.session.empty()) return Broken("the guest did not say the session's name");
    outcome_.left = true;
    phase_ = Phase::kEnded;
    return {};
  }
  if (!message.has_exec_attached()) return Broken("the guest did not answer with ExecAttached");
  const v1::ExecAttached& attached = message.exec_attached();
  outcome_.pid = attached.pid();
  outcome_.lost_bytes = attached.lost_bytes();
  BERTH_TRY(link_.SetWindow(attached.stdin_window()));
  stdin_done_ |= !attached.stdin_open();
  tty_ = attached.tty();
  if (tty_) terminal_.emplace(stdin_done_ ? -1 : streams_.stdin_fd);
  if (tty_) SendSize();
  return {};
}

Result<> Session::WriteOutput() {
  while (unwritten_.to != nullptr) {
    BERTH_ASSIGN(const size_t n, unwritten_.to->WriteSome(unwritten_.bytes));
    if (n == 0) return {};
    unwritten_.bytes = unwritten_.bytes.subspan(n);
    if (unwritten_.bytes.empty()) unwritten_.to = nullptr;
  }
  return {};
}

// --- To the guest ---

void Session::ReadStdin() {
  const std::span<std::byte> room = link_.StdinRoom();
  if (room.empty()) return;
  const ssize_t n = read(streams_.stdin_fd, room.data(), room.size());
  if (n > 0) {
    auto taken = static_cast<size_t>(n);
    if (streams_.attach && tty_ && streams_.leave_key != '\0') {
      const auto key = std::ranges::find(room.first(taken), std::byte(streams_.leave_key));
      outcome_.left = key != room.begin() + n;
      if (outcome_.left) phase_ = Phase::kEnded;
      taken = static_cast<size_t>(key - room.begin());
    }
    if (taken > 0) link_.PushStdin(taken);
  } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
    // A stdin that cannot be read (closed, hung up, a directory) has no more bytes.
    link_.PushStdinEnd();
    stdin_done_ = true;
  }
}

void Session::SendSize() {
  const auto size = SizeOfTerminal(streams_.stdin_fd);
  if (!size) return;
  v1::Envelope message;
  message.mutable_exec_resize()->set_rows(size->rows);
  message.mutable_exec_resize()->set_columns(size->columns);
  link_.Push(message);
}

Result<> Session::HandleSignal(int signal) {
  const bool ends = signal == SIGHUP || signal == SIGINT || signal == SIGQUIT || signal == SIGTERM;
  if (tty_ || streams_.attach) {
    if (ends) return Fail("interrupted", EINTR, "signal " + std::to_string(signal));
    if (signal == SIGCONT && terminal_) terminal_->Apply();
    if (tty_) SendSize();
    return {};
  }
  // A guest that takes no signals any more must not hold the person who sends them.
  if (ends) {
    if (patience_.Passed()) {
      patience_ = Deadline::In(kPatience);
      asked_to_end_ = 0;
    }
    if (++asked_to_end_ == kLastRequestToEnd) {
      return Fail("interrupted", EINTR, "signal " + std::to_string(signal));
    }
  }
  v1::Envelope message;
  message.mutable_exec_signal()->set_signal(static_cast<uint32_t>(signal));
  link_.Push(message);
  return {};
}

}  // namespace

Result<ExecOutcome> RunExecSession(UniqueFd connection, const ExecStreams& streams) {
  return Session(std::move(connection), streams).Run();
}

}  // namespace berth::guest
