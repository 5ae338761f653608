// SPDX-License-Identifier: Apache-2.0
//
// The part of an ExecSession by which others than its own connection reach it: who attaches to it,
// and who lists, signals or ends it.
#include <signal.h>
#include <sys/wait.h>

#include "agent/exec_session.h"
#include "agent/pty.h"
#include "protocol/base/clock.h"
#include "protocol/base/text.h"
#include "protocol/wire/handshake.h"

namespace berth::agent {

bool ExecSession::PushKept() {
  if (!kept_ || !outbox_.CanTakeData()) return false;
  if (kept_->unsent() > 0) {
    BufferPool::Buffer buffer = pool_.Take();
    const auto piece = kept_->Take(buffer.bytes().subspan(wire::kFrameHeaderBytes));
    outbox_.PushData(piece.stream, std::move(buffer), piece.bytes);
    return true;
  }
  bool pushed = false;
  for (Output* output : {&stdout_, &stderr_}) {
    if (output->fd.is_open() || std::exchange(output->end_sent, true)) continue;
    outbox_.PushEnd(output->stream);
    pushed = true;
  }
  if (exited_ && !std::exchange(exited_sent_, true)) {
    outbox_.Push(*exited_);
    pushed = true;
  }
  return pushed;
}

void ExecSession::Attach(std::unique_ptr<wire::Channel> channel, std::string_view greeting,
                         const v1::ExecAttach& request) {
  if (attached()) {
    v1::Envelope message;
    *message.mutable_failure() = wire::ToFailure(
        Error{"attach", ECANCELED, "another client has attached to session " + id_, {}});
    outbox_.Push(message);
    [[maybe_unused]] const auto sent = outbox_.Flush();
    channel_->Close();
  }
  channel_ = std::move(channel);
  outbox_.Reset(channel_->socket().native_handle());
  from_host_ = {.ready = channel_->HasUnreadBytes()};
  to_host_ = {};
  kept_->Rewind();
  stdout_.end_sent = stderr_.end_sent = exited_sent_ = lingering_ = false;
  v1::Envelope message;
  auto& attached = *message.mutable_exec_attached();
  attached.set_pid(static_cast<uint32_t>(pid_));
  attached.set_tty(tty_);
  attached.set_stdin_open(phase_ == Phase::kRunning && stdin_queue_.open());
  attached.set_stdin_window(static_cast<uint32_t>(stdin_queue_.Regrant()));
  attached.set_lost_bytes(kept_->lost());
  outbox_.Push(greeting);
  outbox_.Push(message);
  if (tty_ && stdout_.fd.is_open() && request.rows() > 0 && request.columns() > 0) {
    [[maybe_unused]] const auto resized =
        ResizePty(stdout_.fd.get(), request.rows(), request.columns());
  }
  wake_.Notify();
}

void ExecSession::End() {
  if (ended()) {
    if (kept_) phase_ = Phase::kDone;
  } else if (phase_ == Phase::kRunning && !forced()) {
    ending_ = true;
    SignalAll(SIGTERM);
    SignalAll(SIGCONT);
    StartTimer(kill_grace_);
  }
  wake_.Notify();
}

v1::SessionsReply::Session ExecSession::Row() const {
  v1::SessionsReply::Session row;
  row.set_id(id_);
  row.set_pid(static_cast<uint32_t>(pid_));
  row.set_command(Utf8(command_, wire::kMaxCommandBytes));
  row.set_tty(tty_);
  row.set_detach(detachable());
  row.set_attached(attached());
  row.set_start_us(ToMicroseconds(started_ns_));
  if (!reaped_) return row;
  row.set_end_us(ToMicroseconds(ended_ns_));
  if (WIFSIGNALED(status_)) {
    row.set_signal(static_cast<uint32_t>(WTERMSIG(status_)));
  } else {
    row.set_code(static_cast<uint32_t>(WEXITSTATUS(status_)));
  }
  return row;
}

}  // namespace berth::agent
