// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include "supervisor/vsock/iov.h"

namespace berth::vsock {

namespace {

using State = Connection::State;

constexpr uint32_t Bit(Op op) { return 1U << static_cast<uint32_t>(op); }

constexpr uint32_t kWhileOpen = Bit(Op::kReset) | Bit(Op::kShutdown) | Bit(Op::kData) |
                                Bit(Op::kCreditUpdate) | Bit(Op::kCreditRequest);

// What a guest may send in each state. The rest breaks the protocol.
constexpr uint32_t Expected(State state) {
  switch (state) {
    case State::kOpening:
      return 0;  // it has not heard of the connection yet
    case State::kRequested:
      return Bit(Op::kReset) | Bit(Op::kResponse);
    case State::kEstablished:
    case State::kClosing:  // what it sent before it saw our SHUTDOWN
      return kWhileOpen;
    case State::kEnding:
      return ~0U;  // all ignored
  }
  return 0;
}

bool IsExpected(State state, Op op) {
  return static_cast<uint32_t>(op) <= static_cast<uint32_t>(Op::kCreditRequest) &&
         (Expected(state) & Bit(op)) != 0;
}

constexpr uint32_t kHostEvents = EPOLLIN | EPOLLRDHUP | EPOLLET;

}  // namespace

Connection::Connection(State state, Ports ports, UniqueFd client, uint32_t window)
    : state_(state),
      ports_(ports),
      receive_credit_(window),
      backlog_(window),
      host_(std::move(client)) {}

Connection Connection::FromHost(Ports ports, UniqueFd client, uint32_t window, TimePoint now) {
  Connection connection(State::kOpening, ports, std::move(client), window);
  connection.owed_ = kOweRequest;
  connection.deadline_ = now + kRequestTimeout;
  return connection;
}

Connection Connection::FromGuest(Ports ports, UniqueFd client, uint32_t window,
                                 const PacketHeader& request) {
  Connection connection(State::kEstablished, ports, std::move(client), window);
  connection.owed_ = kOweResponse;
  connection.send_credit_.Update(request.buf_alloc, request.fwd_cnt);
  return connection;
}

void Connection::Transition(State to, TimePoint now) {
  state_ = to;
  switch (to) {
    case State::kOpening:
    case State::kRequested:
      break;  // the deadline of the client's CONNECT runs on
    case State::kEstablished:
      deadline_.reset();
      break;
    case State::kClosing:
      CloseHost();
      deadline_ = now + kCloseTimeout;
      break;
    case State::kEnding:
      if (backlog_.empty()) CloseHost();
      deadline_ = now + kOrphanTimeout;
      break;
  }
}

void Connection::Abort(TimePoint now) {
  if (state_ == State::kEnding) return;
  DropBacklog();
  owed_ = kOweReset;
  Transition(State::kEnding, now);
}

void Connection::OnPacket(const PacketHeader& header, std::span<const iovec> payload,
                          TimePoint now) {
  if (state_ == State::kEnding) return;
  if (!IsExpected(state_, header.op)) return Abort(now);
  send_credit_.Update(header.buf_alloc, header.fwd_cnt);
  switch (header.op) {
    case Op::kReset:
      owed_ = 0;
      return Transition(State::kEnding, now);
    case Op::kResponse:
      Transition(State::kEstablished, now);
      if (!AnswerClient()) Abort(now);
      return;
    case Op::kData:
      return TakeData(header, payload, now);
    case Op::kShutdown:
      return TakeShutdown(header.flags, now);
    case Op::kCreditRequest:
      owed_ |= kOweCreditUpdate;
      return;
    case Op::kCreditUpdate:
    case Op::kRequest:
    case Op::kInvalid:
      return;
  }
}

void Connection::TakeData(const PacketHeader& header, std::span<const iovec> payload,
                          TimePoint now) {
  if ((guest_shutdown_ & kShutdownSend) != 0) return Abort(now);
  if (!receive_credit_.Take(header.len)) return Abort(now);
  const size_t sent = backlog_.empty() && header.len > 0 ? SendToHost(payload) : 0;
  if (host_deaf_) {
    receive_credit_.Forward(header.len);
    return HostIsDeaf(now);
  }
  receive_credit_.Forward(static_cast<uint32_t>(sent));
  // Credit bounds what can be queued, so this fails only where the two disagree.
  if (!backlog_.Append(payload, sent)) Abort(now);
}

void Connection::TakeShutdown(uint32_t flags, TimePoint now) {
  guest_shutdown_ |= flags & kShutdownBoth;
  if (guest_shutdown_ == kShutdownBoth) {
    // The guest is done and waits for our RST; what it sent goes on to the client all the same.
    owed_ = kOweReset;
    return Transition(State::kEnding, now);
  }
  if ((guest_shutdown_ & kShutdownReceive) != 0) {
    host_readable_ = false;
    if (host_) shutdown(host_.get(), SHUT_RD);
  }
  SettleDirections();
}

size_t Connection::SendToHost(std::span<const iovec> data) {
  if (host_deaf_ || !host_) {
    host_deaf_ = true;
    return 0;
  }
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(data.data());
  message.msg_iovlen = data.size();
  for (;;) {
    const ssize_t n = sendmsg(host_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) return static_cast<size_t>(n);
    if (errno == EINTR) continue;
    if (errno != EAGAIN) host_deaf_ = true;
    return 0;
  }
}

void Connection::FlushBacklog() {
  while (!backlog_.empty()) {
    const std::array<iovec, 2> front = backlog_.Front();
    const size_t sent = SendToHost(std::span(front).first(front[1].iov_len > 0 ? 2 : 1));
    if (sent == 0) return;
    backlog_.Consume(sent);
    receive_credit_.Forward(static_cast<uint32_t>(sent));
  }
}

void Connection::DropBacklog() {
  receive_credit_.Forward(static_cast<uint32_t>(backlog_.size()));
  backlog_.Clear();
}

void Connection::HostIsDeaf(TimePoint now) {
  host_deaf_ = true;
  DropBacklog();
  owed_shutdown_ |= kShutdownReceive & ~told_shutdown_;
  // What the client sent before still goes to the guest, but not for ever.
  if (!deadline_) deadline_ = now + kOrphanTimeout;
  SettleDirections();
}

void Connection::SettleDirections() {
  if (state_ != State::kEstablished) return;
  if ((guest_shutdown_ & kShutdownSend) != 0 && backlog_.empty() && !write_shut_) {
    write_shut_ = true;
    if (host_) shutdown(host_.get(), SHUT_WR);
  }
  const bool to_host_done = write_shut_ || host_deaf_;
  const bool to_guest_done =
      (told_shutdown_ & kShutdownSend) != 0 || (guest_shutdown_ & kShutdownReceive) != 0;
  if (to_host_done && to_guest_done) owed_shutdown_ = kShutdownBoth & ~told_shutdown_;
}

void Connection::OnHostEvents(uint32_t events, TimePoint now) {
  const bool gone = (events & (EPOLLHUP | EPOLLERR)) != 0;
  if ((events & (EPOLLIN | EPOLLRDHUP)) != 0 || gone) {
    host_readable_ = (guest_shutdown_ & kShutdownReceive) == 0;
  }
  switch (state_) {
    case State::kOpening:
      if (!gone) return;
      owed_ = 0;  // the guest has not heard of it
      return Transition(State::kEnding, now);
    case State::kRequested:
      if (gone) Abort(now);
      return;
    case State::kEstablished:
    case State::kEnding:
      if (gone) return HostIsDeaf(now);
      FlushBacklog();
      if (host_deaf_) return HostIsDeaf(now);
      return SettleDirections();
    case State::kClosing:
      return;
  }
}

void Connection::OnDeadline(TimePoint now) {
  if (state_ != State::kEnding && state_ != State::kOpening) return Abort(now);
  DropBacklog();
  owed_ = 0;
  Transition(State::kEnding, now);
}

bool Connection::AnswerClient() {
  const std::string line = "OK " + std::to_string(ports_.host) + "\n";
  // A fresh socket has room for 14 bytes; one that has not belongs to a client that is gone.
  const ssize_t n = send(host_.get(), line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return n == static_cast<ssize_t>(line.size());
}

void Connection::CloseHost() {
  watch_.Reset();
  host_.Reset();
}

void Connection::AdjustWatch() {
  if (state_ == State::kEnding && backlog_.empty()) return CloseHost();
  // EPOLLOUT only with a backlog: each read of the client's would wake us else.
  watch_.Want(backlog_.empty() ? kHostEvents : kHostEvents | EPOLLOUT);
}

bool Connection::DataMayFollow() const {
  return state_ == State::kEstablished && host_readable_ && send_credit_.Room() > 0;
}

bool Connection::HasPacket() const {
  if (owed_ != 0) return true;
  if (state_ != State::kEstablished) return false;
  return owed_shutdown_ != 0 || receive_credit_.UpdateDue() || DataMayFollow();
}

PacketHeader Connection::Header(Op op) {
  return PacketHeader{.src_port = ports_.host,
                      .dst_port = ports_.guest,
                      .op = op,
                      .buf_alloc = receive_credit_.buf_alloc(),
                      .fwd_cnt = receive_credit_.Announce()};
}

std::optional<PacketHeader> Connection::NextPacket(std::span<const iovec> room, TimePoint now) {
  if ((owed_ & kOweReset) != 0) {
    owed_ = 0;
    return Header(Op::kReset);
  }
  if ((owed_ & kOweRequest) != 0) {
    owed_ = 0;
    Transition(State::kRequested, now);
    return Header(Op::kRequest);
  }
  if ((owed_ & kOweResponse) != 0) {
    owed_ &= static_cast<uint8_t>(~kOweResponse);
    return Header(Op::kResponse);
  }
  if (state_ != State::kEstablished) {
    owed_ = 0;  // credit is of no interest to a connection that ends
    return std::nullopt;
  }
  if (owed_shutdown_ != 0) return NextShutdown(now);
  if (DataMayFollow()) {
    // Carries our credit, so an update that is due need not go by itself.
    if (auto data = NextData(room, now)) return data;
    if (owed_shutdown_ != 0) return NextShutdown(now);
  }
  if ((owed_ & kOweCreditUpdate) != 0 || receive_credit_.UpdateDue()) {
    owed_ &= static_cast<uint8_t>(~kOweCreditUpdate);
    return Header(Op::kCreditUpdate);
  }
  if ((owed_ & kOweCreditRequest) != 0) {
    owed_ &= static_cast<uint8_t>(~kOweCreditRequest);
    return Header(Op::kCreditRequest);
  }
  return std::nullopt;
}

std::optional<PacketHeader> Connection::NextData(std::span<const iovec> room, TimePoint now) {
  std::array<iovec, kMaxChainSegments> parts;
  const size_t limit = std::min<size_t>(send_credit_.Room(), kMaxPacketBytes);
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = SliceIov(room, 0, limit, parts.data());
  ssize_t n;
  do {
    n = recvmsg(host_.get(), &message, MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  if (n > 0) {
    const auto bytes = static_cast<uint32_t>(n);
    send_credit_.Spend(bytes);
    // Asked once per stall: a driver need not tell of new room by itself.
    if (send_credit_.Room() == 0) owed_ |= kOweCreditRequest;
    PacketHeader header = Header(Op::kData);
    header.len = bytes;
    return header;
  }
  host_readable_ = false;
  if (n == 0) {
    owed_shutdown_ |= kShutdownSend & ~told_shutdown_;
  } else if (errno != EAGAIN) {
    // ECONNRESET: the client closed with unread bytes of ours. It neither sends nor receives.
    owed_shutdown_ |= kShutdownSend & ~told_shutdown_;
    HostIsDeaf(now);
  }
  return std::nullopt;
}

PacketHeader Connection::NextShutdown(TimePoint now) {
  if (host_readable_ && (owed_shutdown_ & kShutdownSend) == 0) {
    // A client that has closed is at its end of file too: then one packet says both.
    std::byte next;
    if (recv(host_.get(), &next, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
      host_readable_ = false;
      owed_shutdown_ |= kShutdownSend & ~told_shutdown_;
    }
  }
  told_shutdown_ |= std::exchange(owed_shutdown_, 0);
  PacketHeader header = Header(Op::kShutdown);
  header.flags = told_shutdown_;
  SettleDirections();
  if (told_shutdown_ == kShutdownBoth) {
    Transition(State::kClosing, now);
  } else if (owed_shutdown_ != 0) {
    // The other direction was done before: one packet says both.
    return NextShutdown(now);
  }
  return header;
}

}  // namespace berth::vsock
