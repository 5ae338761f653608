// SPDX-License-Identifier: Apache-2.0
//
// One vsock stream between a guest port and a host client's Unix socket. The protocol in brief:
//
//   host dials                          guest dials
//   ----------                          -----------
//   host  -> REQUEST                    guest -> REQUEST       (we connect to <socket>_P, or answer
//   RST) guest -> RESPONSE, or RST           host  -> RESPONSE host client gets "OK <port>\n"
//
//   data:  RW either way, as far as the receiver's credit goes (credit.h); CREDIT_UPDATE tells of
//   more room,
//          CREDIT_REQUEST asks for one.
//   end:   SHUTDOWN says what its sender will no longer do (send, receive, both); a second may add
//   to the first.
//          Once both directions are done the side that was told answers RST, and the pair of ports
//          is free. RST at any other time ends everything: refused, or broken protocol.
//
// The two ends of a Unix socket map onto that: read() == 0 is "will no longer send", EPIPE or
// EPOLLHUP "will no longer receive". A half-close has no deadline (an exec without stdin runs for
// days); every other wait has.
//
//              REQUEST sent            RESPONSE               both directions done
//   kOpening ───────────────► kRequested ───────► kEstablished ───────────────────► kClosing
//      │                          │                    ▲ │ guest: SHUTDOWN both, RST    │ guest:
//      RST │ client left              │ RST, client left   │ │                              │
//      └──────────────────────────┴──► kEnding ◄───────┼─┴──────────────────────────────┘
//                                                  guest dials
//
// In kEnding nothing more is expected of the guest; an RST may still be owed to it, and bytes that
// it sent before may still be on their way to a slow client. Any packet that a state does not
// expect: RST, kEnding.
//
// Owned by the Muxer, which moves packets and feeds events; one thread.
#ifndef BERTH_SUPERVISOR_VSOCK_CONNECTION_H_
#define BERTH_SUPERVISOR_VSOCK_CONNECTION_H_

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "protocol/base/unique_fd.h"
#include "supervisor/vsock/byte_queue.h"
#include "supervisor/vsock/credit.h"
#include "supervisor/vsock/event_loop.h"
#include "supervisor/vsock/limits.h"
#include "supervisor/vsock/packet.h"

namespace berth::vsock {

class Connection {
 public:
  enum class State : uint8_t { kOpening, kRequested, kEstablished, kClosing, kEnding };

  // A host client wants `ports.guest`. `window` is how much the guest may send ahead of it.
  static Connection FromHost(Ports ports, UniqueFd client, uint32_t window, TimePoint now);
  // The guest sent `request`, and `client` is the host's answer to it.
  static Connection FromGuest(Ports ports, UniqueFd client, uint32_t window,
                              const PacketHeader& request);

  // A packet of the guest's; `payload` is exactly header.len bytes of guest memory.
  void OnPacket(const PacketHeader& header, std::span<const iovec> payload, TimePoint now);
  // epoll events of the client's socket (edge-triggered: what an event says holds until a call says
  // EAGAIN).
  void OnHostEvents(uint32_t events, TimePoint now);
  void OnDeadline(TimePoint now);
  // Ends it with RST: a packet of its is malformed.
  void Abort(TimePoint now);

  // Whether there may be something to tell the guest.
  bool HasPacket() const;
  // The next packet for the guest, if there is one: reads payload from the client straight into
  // `room` (not empty), and fills in all of the header but the CIDs.
  std::optional<PacketHeader> NextPacket(std::span<const iovec> room, TimePoint now);

  // Watching the client's socket: by the owner's watch, adjusted after each call above.
  void Attach(Watch watch) { watch_ = std::move(watch); }
  void AdjustWatch();
  int host_fd() const { return host_.get(); }

  State state() const { return state_; }
  Ports ports() const { return ports_; }
  std::optional<TimePoint> deadline() const { return deadline_; }
  uint32_t window() const { return receive_credit_.buf_alloc(); }
  // The guest may use the pair of ports for another connection.
  bool PairReleased() const { return state_ == State::kEnding && (owed_ & kOweReset) == 0; }
  // Nothing is left to do.
  bool Finished() const { return PairReleased() && backlog_.empty(); }

 private:
  // What is owed to the guest besides data and SHUTDOWN, most urgent first.
  enum Owed : uint8_t {
    kOweReset = 1,
    kOweRequest = 2,
    kOweResponse = 4,
    kOweCreditUpdate = 8,
    kOweCreditRequest = 16,
  };

  Connection(State state, Ports ports, UniqueFd client, uint32_t window);

  // The one place where state_ changes.
  void Transition(State to, TimePoint now);
  PacketHeader Header(Op op);
  std::optional<PacketHeader> NextData(std::span<const iovec> room, TimePoint now);
  PacketHeader NextShutdown(TimePoint now);
  bool DataMayFollow() const;

  void TakeData(const PacketHeader& header, std::span<const iovec> payload, TimePoint now);
  void TakeShutdown(uint32_t flags, TimePoint now);
  // Sends to the client; how many bytes it took. Where it can take none ever, says so in
  // host_deaf_.
  size_t SendToHost(std::span<const iovec> data);
  void FlushBacklog();
  void DropBacklog();
  void HostIsDeaf(TimePoint now);
  // Passes on what follows from one direction, or both, having come to its end.
  void SettleDirections();
  bool AnswerClient();
  void CloseHost();

  State state_;
  Ports ports_;
  uint8_t owed_ = 0;
  bool host_readable_ = true;    // no read has said EAGAIN since the last event
  bool host_deaf_ = false;       // the client receives no more
  bool write_shut_ = false;      // the client has been told that no more comes
  uint32_t guest_shutdown_ = 0;  // kShutdown* flags that the guest has said
  uint32_t told_shutdown_ = 0;   // that we have said
  uint32_t owed_shutdown_ = 0;   // that we still have to say
  std::optional<TimePoint> deadline_;
  SendCredit send_credit_;
  ReceiveCredit receive_credit_;
  ByteQueue backlog_;  // from the guest, not yet taken by the client
  UniqueFd host_;
  Watch watch_;  // after host_: it goes first
};

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_CONNECTION_H_
