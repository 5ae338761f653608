// SPDX-License-Identifier: Apache-2.0
#include "supervisor/guest/copy_client.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <optional>

#include "protocol/base/clock.h"
#include "protocol/base/text.h"
#include "protocol/files/outgoing.h"
#include "protocol/wire/channel.h"
#include "protocol/wire/handshake.h"
#include "supervisor/guest/call.h"
#include "supervisor/guest/output_fd.h"
#include "supervisor/guest/signal_capture.h"

namespace berth::guest {
namespace {

// Frames handled before signals and the other direction have their turn.
constexpr int kFramesPerTurn = 32;
// How often progress is told where nothing happens.
constexpr int kProgressMs = 500;
constexpr size_t kMaxNoteBytes = 8 * 1024;

std::unexpected<Error> BrokenCopy(std::string detail) {
  return Fail("session", EPROTO, std::move(detail));
}

Error GuestWentAway() {
  return {"session", ECONNRESET, "the copy ended early: the agent or the VM went away",
          "see the VM's status"};
}

// What both directions share: the connection, what the guest says that belongs to neither, signals.
class CopyLink {
 public:
  CopyLink(UniqueFd connection, const CopyHooks& hooks)
      : hooks_(hooks),
        connection_(std::move(connection)),
        signals_({SIGHUP, SIGINT, SIGQUIT, SIGTERM}),
        silent_until_(Deadline::In(wire::kHandshakeTimeout + wire::kCallTimeout)) {}

  bool greeted() const { return greeted_; }
  int socket() const { return connection_.get(); }
  bool has_unread() const { return more_; }

  // Waits for the guest (`guest_events`), for `other`, or for a signal, which is an error. `guest`:
  // it is the guest's turn, who has until its deadline.
  Result<> Wait(short guest_events, pollfd& other, bool guests_turn);
  // A look at signals alone.
  Result<> CheckSignals();
  // Hands over what has come, until `take` has enough.
  template <typename Take>
  Result<> Read(Take&& take);
  // The rest of `bytes` that the socket did not take.
  Result<std::span<const std::byte>> Send(std::span<const std::byte> bytes);
  void Heard() { silent_until_ = Deadline::In(wire::kCopyGuestTimeout); }

 private:
  Result<bool> HandleCommon(const wire::FrameView& frame);

  const CopyHooks& hooks_;
  UniqueFd connection_;
  SignalCapture signals_;
  wire::FrameBuffer buffer_;
  Deadline silent_until_;
  bool greeted_ = false;
  bool more_ = false;  // frames may wait in buffer_ though the socket has nothing
  bool peer_closed_ = false;
  uint64_t notes_ = 0;
};

Result<> CopyLink::Wait(short guest_events, pollfd& other, bool guests_turn) {
  pollfd watched[] = {
      {.fd = signals_.fd(), .events = POLLIN, .revents = 0},
      {.fd = guest_events != 0 ? connection_.get() : -1, .events = guest_events, .revents = 0},
      other};
  const bool now = more_ && (guest_events & POLLIN) != 0;
  const int wait_ms =
      guests_turn ? std::min(silent_until_.PollTimeoutMs(), kProgressMs) : kProgressMs;
  const int ready = poll(watched, std::size(watched), now ? 0 : wait_ms);
  if (ready < 0 && errno != EINTR) return ErrnoError("session", "poll");
  other = watched[2];
  BERTH_TRY(CheckSignals());
  if (ready == 0 && !now && guests_turn && silent_until_.Passed()) {
    return Fail(
        "session", ETIMEDOUT,
        greeted_ ? "the guest was silent for too long" : "the guest's agent does not answer",
        "is it paused, or busy? see the VM's status and its console");
  }
  // A VM that waited for a slow pipe of ours is not the silent one.
  if (!guests_turn) Heard();
  return {};
}

Result<> CopyLink::CheckSignals() {
  const auto signal = signals_.Take();
  if (!signal) return {};
  return Fail("interrupted", EINTR, "signal " + std::to_string(*signal));
}

Result<std::span<const std::byte>> CopyLink::Send(std::span<const std::byte> bytes) {
  while (!bytes.empty() && !peer_closed_) {
    const ssize_t n =
        send(connection_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) {
      bytes = bytes.subspan(static_cast<size_t>(n));
      Heard();
    } else if (errno == EAGAIN) {
      return bytes;
    } else if (errno == EPIPE || errno == ECONNRESET) {
      // Why is to be read from it.
      peer_closed_ = true;
    } else if (errno != EINTR) {
      return ErrnoError("session");
    }
  }
  return std::span<const std::byte>();
}

// True where the frame was for this and not for the copy itself.
Result<bool> CopyLink::HandleCommon(const wire::FrameView& frame) {
  if (frame.kind != wire::FrameKind::kMessage) {
    if (!greeted_) return BrokenCopy("the guest sent data before its Hello");
    return false;
  }
  BERTH_ASSIGN(const v1::Envelope message, wire::DecodeMessage(frame.payload));
  if (!greeted_) {
    BERTH_ASSIGN(const uint32_t generation, CheckGuestHello(message));
    if (generation < wire::kOperatorGeneration) {
      return Fail("handshake", EPROTONOSUPPORT,
                  "its agent (build " + Printable(message.hello().build_id(), wire::kMaxNameBytes) +
                      ") speaks protocol generation " + std::to_string(generation) +
                      ", which copies no files",
                  "rebuild its image with this release");
    }
    greeted_ = true;
    return true;
  }
  if (message.has_failure()) return std::unexpected(wire::FromFailure(message.failure()));
  if (!message.has_copy_note()) return false;
  const v1::CopyNote& note = message.copy_note();
  if (++notes_ > wire::kMaxCopyNotes || note.path().size() + note.detail().size() > kMaxNoteBytes ||
      !wire::IsErrno(note.errnum())) {
    return BrokenCopy("the guest's notes do not keep their bounds");
  }
  hooks_.note({note.path(), note.errnum(), note.detail(), note.harmless()});
  return true;
}

template <typename Take>
Result<> CopyLink::Read(Take&& take) {
  more_ = true;
  for (int frames = 0; frames < kFramesPerTurn;) {
    BERTH_ASSIGN(const auto frame, buffer_.Next());
    if (frame) {
      ++frames;
      BERTH_ASSIGN(const bool common, HandleCommon(*frame));
      if (common) continue;
      BERTH_ASSIGN(const bool enough, take(*frame));
      if (enough) return {};
      continue;
    }
    const std::span<std::byte> room = buffer_.Prepare();
    const ssize_t n = recv(connection_.get(), room.data(), room.size(), MSG_DONTWAIT);
    if (n > 0) {
      buffer_.Commit(static_cast<size_t>(n));
      Heard();
    } else if (n < 0 && errno == EAGAIN) {
      more_ = false;
      return {};
    } else if (n == 0 || errno == ECONNRESET) {
      return std::unexpected(GuestWentAway());
    } else if (errno != EINTR) {
      return ErrnoError("session");
    }
  }
  return {};
}

}  // namespace

Result<v1::CopyDone> CopyToGuest(UniqueFd connection, files::TreeReader reader, int stdin_fd,
                                 const CopyHooks& hooks) {
  CopyLink link(std::move(connection), hooks);
  files::Outgoing out;
  std::span<const std::byte> unsent;
  std::optional<v1::CopyDone> answer;
  bool more = true;
  bool filled = false;  // for the first time: a stream's entry comes before its content
  while (!answer) {
    const bool wants_stdin = stdin_fd >= 0 && filled && more && link.greeted() && unsent.empty();
    pollfd input{.fd = wants_stdin ? stdin_fd : -1, .events = POLLIN, .revents = 0};
    const bool fills = link.greeted() && unsent.empty() && more && !wants_stdin;
    if (fills) {
      BERTH_TRY(link.CheckSignals());
    } else {
      BERTH_TRY(link.Wait(static_cast<short>(POLLIN | (unsent.empty() ? 0 : POLLOUT)), input,
                          !wants_stdin));
    }
    if (fills || input.revents != 0) {
      out.Clear();
      BERTH_ASSIGN(more, reader.Fill(out));
      filled = true;
      unsent = out.bytes();
      for (const files::Note& note : reader.TakeNotes()) hooks.note(note);
    }
    BERTH_ASSIGN(unsent, link.Send(unsent));
    BERTH_TRY(link.Read([&](const wire::FrameView& frame) -> Result<bool> {
      constexpr const char* kUnasked = "the guest said something that has no place in a copy";
      if (frame.kind != wire::FrameKind::kMessage) return BrokenCopy(kUnasked);
      BERTH_ASSIGN(const v1::Envelope message, wire::DecodeMessage(frame.payload));
      if (!message.has_copy_done() || more) return BrokenCopy(kUnasked);
      answer = message.copy_done();
      return true;
    }));
    hooks.progress({reader.done().bytes(), reader.path()});
  }
  const v1::CopyDone& sent = reader.done();
  if (answer->checksum() != sent.checksum() || answer->entries() != sent.entries() ||
      answer->bytes() != sent.bytes()) {
    return Fail("checksum", EIO, "the guest says that something else arrived than was sent");
  }
  return sent;
}

Result<v1::CopyDone> CopyFromGuest(UniqueFd connection, files::WriteOptions options, int stdout_fd,
                                   const CopyHooks& hooks) {
  CopyLink link(std::move(connection), hooks);
  files::TreeWriter writer(std::move(options));
  std::optional<OutputFd> output;
  if (stdout_fd >= 0) output.emplace(stdout_fd);
  static constexpr std::array<std::byte, 64 * 1024> kZeros{};
  std::span<const std::byte> data;  // in the link's buffer: nothing is read before it is written
  uint64_t zeros = 0;
  for (;;) {
    const bool writing = !data.empty() || zeros > 0;
    if (!writing && writer.done()) break;
    pollfd sink{.fd = writing ? output->poll_fd() : -1, .events = POLLOUT, .revents = 0};
    BERTH_TRY(link.Wait(writing ? 0 : POLLIN, sink, !writing));
    if (writing) {
      const auto from =
          !data.empty() ? data : std::span(kZeros).first(std::min<uint64_t>(zeros, kZeros.size()));
      BERTH_ASSIGN(const size_t n, output->WriteSome(from));
      if (data.empty()) {
        zeros -= n;
      } else {
        data = data.subspan(n);
      }
    } else {
      BERTH_TRY(link.Read([&](const wire::FrameView& frame) -> Result<bool> {
        BERTH_TRY(writer.HandleFrame(frame));
        data = writer.stream_data();
        zeros = writer.stream_zeros();
        return writer.done() || !data.empty() || zeros > 0;
      }));
    }
    hooks.progress({writer.received().bytes(), writer.path()});
  }
  v1::Envelope answer;
  *answer.mutable_copy_done() = writer.received();
  BERTH_ASSIGN(const std::string bytes, wire::EncodeMessage(answer));
  // The guest has no use for it but to close sooner.
  BERTH_TRY(link.Send(std::as_bytes(std::span(bytes))));
  return writer.received();
}

}  // namespace berth::guest
