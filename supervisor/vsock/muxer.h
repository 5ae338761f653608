// SPDX-License-Identifier: Apache-2.0
//
// All connections of one guest: finds the one that a packet is for, picks the one whose packet goes
// next, keeps their deadlines and the caps.
//
// Each connection is in exactly one of two lists, `ready_` (it has something for the guest) and
// `idle_`. So what waits for the rx ring is bounded by the number of connections, never lost and
// needs no walk to find again; they take turns, one packet each. The only other thing that waits
// are RSTs: for packets that belong to no connection, at most kMaxOwedResets, and for what a device
// before this one left, at most PairTable::kSlots.
//
// Owns the connections; owned by main; one thread.
#ifndef BERTH_SUPERVISOR_VSOCK_MUXER_H_
#define BERTH_SUPERVISOR_VSOCK_MUXER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <span>

#include "protocol/base/unique_fd.h"
#include "supervisor/vsock/connection.h"
#include "supervisor/vsock/event_loop.h"
#include "supervisor/vsock/limits.h"
#include "supervisor/vsock/packet.h"
#include "supervisor/vsock/pair_table.h"

namespace berth::vsock {

class Muxer {
 public:
  // Connects to whoever listens for the guest on a host port; no descriptor where no one does.
  using DialHost = std::function<UniqueFd(uint32_t port)>;

  // `first_host_port` is where host clients' port numbers start: random, for a guest may still hold
  // pairs of ports from a process before this one. Those that `pairs` tells of are reset first.
  Muxer(EventLoop* loop, PairTable* pairs, DialHost dial_host, uint64_t guest_cid,
        uint32_t first_host_port);
  Muxer(const Muxer&) = delete;
  Muxer& operator=(const Muxer&) = delete;

  // A host client wants guest port `port`. At the cap the client is closed.
  void DialGuest(UniqueFd client, uint32_t port, TimePoint now);

  // A packet from the tx ring; `payload` is all that the chain holds behind the header.
  void OnPacket(const PacketHeader& header, std::span<const iovec> payload, TimePoint now);

  // Whether NextPacket may have something.
  bool HasPacket() const { return pairs_->HasOrphan() || !resets_.empty() || !ready_.empty(); }
  // The next packet for the rx ring; its payload (header.len bytes) is then in `room`, which is not
  // empty.
  std::optional<PacketHeader> NextPacket(std::span<const iovec> room, TimePoint now);

  // The guest's driver starts anew and knows of no connection: clients see end of file.
  void DropAll();

  void Expire(TimePoint now);
  std::optional<TimePoint> NextDeadline() const;

  size_t connections() const { return ready_.size() + idle_.size(); }

 private:
  struct Entry;
  using Entries = std::list<Entry>;
  using Timers = std::multimap<TimePoint, Entries::iterator>;

  struct Entry final : EventHandler {
    Entry(Muxer* owner, Connection stream, bool by_guest)
        : muxer(owner), connection(std::move(stream)), guest_dialled(by_guest) {}
    void OnEvents(uint32_t events) override;

    Muxer* muxer;
    Connection connection;
    bool guest_dialled;
    bool ready = false;
    bool mapped = false;
    PairTable::Hold pair;  // while mapped
    Entries::iterator self;
    std::optional<Timers::iterator> timer;
  };

  // Brings list, map, timer and watch of an entry in line with its connection; removes a finished
  // one.
  void Settle(Entries::iterator entry);
  void Remove(Entries::iterator entry);
  void Insert(Connection connection, bool guest_dialled, TimePoint now);
  void AcceptFromGuest(Ports ports, const PacketHeader& request, TimePoint now);
  void OweReset(const PacketHeader& to);
  std::optional<Ports> FreePorts(uint32_t guest_port);
  uint32_t PickWindow() const;

  EventLoop* loop_;
  PairTable* pairs_;
  DialHost dial_host_;
  uint64_t guest_cid_;
  uint32_t next_host_port_;
  size_t guest_dialled_ = 0;
  size_t large_windows_ = 0;
  std::deque<PacketHeader> resets_;
  std::map<Ports, Entries::iterator> by_ports_;
  Timers timers_;
  Entries ready_;
  Entries idle_;
};

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_MUXER_H_
