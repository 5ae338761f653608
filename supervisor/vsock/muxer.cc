// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/muxer.h"

#include <array>
#include <iterator>
#include <string>
#include <utility>

#include "supervisor/vsock/iov.h"
#include "supervisor/vsock/log.h"

namespace berth::vsock {

namespace {

// Host clients' ports are taken from [2^30, 2^31): far from any port that a guest dials.
constexpr uint32_t kHostPortBit = 1U << 30;
constexpr uint32_t kHostPortMask = kHostPortBit - 1;

uint32_t HostPort(uint32_t counter) { return kHostPortBit | (counter & kHostPortMask); }

}  // namespace

Muxer::Muxer(EventLoop* loop, PairTable* pairs, DialHost dial_host, uint64_t guest_cid,
             uint32_t first_host_port)
    : loop_(loop),
      pairs_(pairs),
      dial_host_(std::move(dial_host)),
      guest_cid_(guest_cid),
      next_host_port_(first_host_port) {}

void Muxer::Entry::OnEvents(uint32_t events) {
  connection.OnHostEvents(events, std::chrono::steady_clock::now());
  muxer->Settle(self);
}

uint32_t Muxer::PickWindow() const {
  return large_windows_ < kMaxLargeWindows ? kLargeWindowBytes : kSmallWindowBytes;
}

std::optional<Ports> Muxer::FreePorts(uint32_t guest_port) {
  // One more than there can be connections: a free one is among them.
  for (size_t i = 0; i <= kMaxConnections; ++i) {
    const Ports ports{.host = HostPort(next_host_port_++), .guest = guest_port};
    if (!by_ports_.contains(ports)) return ports;
  }
  return std::nullopt;
}

void Muxer::DialGuest(UniqueFd client, uint32_t port, TimePoint now) {
  if (connections() >= kMaxConnections) {
    return Log(Complaint::kLimit, "a client is refused: all connections are taken");
  }
  const std::optional<Ports> ports = FreePorts(port);
  if (!ports) return;
  Insert(Connection::FromHost(*ports, std::move(client), PickWindow(), now), false, now);
}

void Muxer::AcceptFromGuest(Ports ports, const PacketHeader& request, TimePoint now) {
  if (guest_dialled_ >= kMaxGuestDialled || connections() >= kMaxConnections) {
    Log(Complaint::kLimit, "the guest is refused: its connections are all taken");
    return OweReset(request);
  }
  UniqueFd client = dial_host_(ports.host);
  if (!client) return OweReset(request);
  Insert(Connection::FromGuest(ports, std::move(client), PickWindow(), request), true, now);
}

void Muxer::Insert(Connection connection, bool guest_dialled, TimePoint now) {
  const Entries::iterator entry =
      idle_.emplace(idle_.end(), this, std::move(connection), guest_dialled);
  entry->self = entry;
  entry->mapped = true;
  entry->pair = pairs_->Add(entry->connection.ports());
  by_ports_.emplace(entry->connection.ports(), entry);
  if (guest_dialled) ++guest_dialled_;
  if (entry->connection.window() == kLargeWindowBytes) ++large_windows_;
  auto watch = loop_->Add(entry->connection.host_fd(), EPOLLIN | EPOLLRDHUP | EPOLLET, &*entry);
  if (watch) {
    entry->connection.Attach(std::move(*watch));
  } else {
    Log(Complaint::kLimit, watch.error().Message());
    entry->connection.Abort(now);
  }
  Settle(entry);
}

void Muxer::Settle(Entries::iterator entry) {
  Connection& connection = entry->connection;
  connection.AdjustWatch();
  if (connection.Finished()) return Remove(entry);
  if (entry->mapped && connection.PairReleased()) {
    by_ports_.erase(connection.ports());
    entry->mapped = false;
    entry->pair.Reset();
  }
  const std::optional<TimePoint> deadline = connection.deadline();
  if (entry->timer && (!deadline || (*entry->timer)->first != *deadline)) {
    timers_.erase(*entry->timer);
    entry->timer.reset();
  }
  if (deadline && !entry->timer) entry->timer = timers_.emplace(*deadline, entry);
  const bool ready = connection.HasPacket();
  if (ready == entry->ready) return;
  entry->ready = ready;
  Entries& from = ready ? idle_ : ready_;
  Entries& to = ready ? ready_ : idle_;
  to.splice(to.end(), from, entry);
}

void Muxer::Remove(Entries::iterator entry) {
  if (entry->mapped) by_ports_.erase(entry->connection.ports());
  if (entry->timer) timers_.erase(*entry->timer);
  if (entry->guest_dialled) --guest_dialled_;
  if (entry->connection.window() == kLargeWindowBytes) --large_windows_;
  (entry->ready ? ready_ : idle_).erase(entry);
}

void Muxer::OnPacket(const PacketHeader& header, std::span<const iovec> payload, TimePoint now) {
  if (header.src_cid != guest_cid_ || header.dst_cid != kHostCid) {
    // From or to somebody else: not even an RST has an address.
    return Log(Complaint::kPacket, "a packet with foreign CIDs is dropped");
  }
  const Ports ports{.host = header.dst_port, .guest = header.src_port};
  const auto found = by_ports_.find(ports);
  const bool known = found != by_ports_.end();
  const bool well_formed = header.type == kTypeStream && header.len <= TotalBytes(payload);
  if (!well_formed) {
    Log(Complaint::kPacket, header.type == kTypeStream ? "a packet is longer than its buffers"
                                                       : "a packet of another type than stream");
  }
  if (!known) {
    if (well_formed && header.op == Op::kRequest) return AcceptFromGuest(ports, header, now);
    if (header.op != Op::kReset) OweReset(header);
    return;
  }
  const Entries::iterator entry = found->second;
  if (well_formed) {
    std::array<iovec, kMaxChainSegments> parts;
    const size_t count = SliceIov(payload, 0, header.len, parts.data());
    entry->connection.OnPacket(header, std::span(parts).first(count), now);
  } else {
    entry->connection.Abort(now);
  }
  Settle(entry);
}

void Muxer::OweReset(const PacketHeader& to) {
  if (resets_.size() >= kMaxOwedResets) {
    return Log(Complaint::kLimit, "an RST is dropped: too many wait for rx buffers");
  }
  resets_.push_back(PacketHeader{
      .src_port = to.dst_port, .dst_port = to.src_port, .type = to.type, .op = Op::kReset});
}

std::optional<PacketHeader> Muxer::NextPacket(std::span<const iovec> room, TimePoint now) {
  std::optional<PacketHeader> packet;
  // Orphans first: the guest may take a port of theirs for the next connection.
  if (const std::optional<Ports> orphan = pairs_->TakeOrphan()) {
    packet = PacketHeader{
        .src_port = orphan->host, .dst_port = orphan->guest, .type = kTypeStream, .op = Op::kReset};
  } else if (!resets_.empty()) {
    packet = resets_.front();
    resets_.pop_front();
  }
  while (!packet && !ready_.empty()) {
    const Entries::iterator entry = ready_.begin();
    packet = entry->connection.NextPacket(room, now);
    // Behind the others, for its next turn; Settle takes it out where there is none.
    ready_.splice(ready_.end(), ready_, entry);
    Settle(entry);
  }
  if (packet) {
    packet->src_cid = kHostCid;
    packet->dst_cid = guest_cid_;
  }
  return packet;
}

void Muxer::DropAll() {
  timers_.clear();
  by_ports_.clear();
  ready_.clear();
  idle_.clear();
  resets_.clear();
  pairs_->ForgetOrphans();
  guest_dialled_ = 0;
  large_windows_ = 0;
}

void Muxer::Expire(TimePoint now) {
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const Entries::iterator entry = timers_.begin()->second;
    entry->connection.OnDeadline(now);
    Settle(entry);
  }
}

std::optional<TimePoint> Muxer::NextDeadline() const {
  if (timers_.empty()) return std::nullopt;
  return timers_.begin()->first;
}

}  // namespace berth::vsock
