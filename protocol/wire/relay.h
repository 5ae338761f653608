// SPDX-License-Identifier: Apache-2.0
//
// Relay: moves the bytes of one forwarded connection between a plain stream (a TCP or Unix socket,
// or a pair of pipes) and the framed connection of the protocol. The agent and the command line use
// it alike; whose data are on which stream is all that differs.
//
//   source ──► data and end frames of `out` ──► framed
//   sink   ◄── data and end frames of `in`  ◄── framed
//
// The end of a stream is its end frame, apart in each direction. A framed connection that closes
// without both is a reset.
//
// It goes in rounds: each does what can be done without waiting, and Wants() says what to poll for
// before the next. What an end does not take stays where it came from, but for the rest of one
// chunk a direction. Chunks come from a pool that makes them small when many rests are held: a
// thousand slow peers cost little. Owns no socket; one thread; never waits.
#ifndef BERTH_PROTOCOL_WIRE_RELAY_H_
#define BERTH_PROTOCOL_WIRE_RELAY_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"
#include "protocol/proto/berth.pb.h"
#include "protocol/wire/frame.h"

namespace berth::wire {

// The memory of all relays of a thread: one chunk that each uses in its turn, and a count of what
// they hold beside it. Outlives them.
class RelayPool {
 public:
  static constexpr size_t kMaxChunkBytes = 60 * 1024;
  static constexpr size_t kMinChunkBytes = 1024;
  // What rests add up to, but for kMinChunkBytes a direction.
  static constexpr size_t kHeldBytes = 8 * 1024 * 1024;

  // Room for one read: smaller the more is held.
  std::span<std::byte> Chunk();
  size_t held() const { return held_; }

 private:
  friend class Rest;
  std::unique_ptr<std::byte[]> chunk_;
  size_t held_ = 0;
};

// What is left of a chunk: bytes that an end has not taken yet.
class Rest {
 public:
  explicit Rest(RelayPool& pool) : pool_(pool) {}
  Rest(const Rest&) = delete;
  Rest& operator=(const Rest&) = delete;
  ~Rest() { Clear(); }

  void Keep(std::span<const std::byte> bytes);
  void Drop(size_t bytes);
  void Clear();
  bool empty() const { return begin_ == end_; }
  std::span<const std::byte> bytes() const { return {bytes_.get() + begin_, end_ - begin_}; }

 private:
  RelayPool& pool_;
  std::unique_ptr<std::byte[]> bytes_;
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t size_ = 0;
};

struct RelayEnds {
  int framed = -1;  // a socket
  int source = -1;
  int sink = -1;  // the same as source where that is a socket
  Stream out{};
  Stream in{};
  // Where the sink is no socket: its owner, so that its end can be passed on.
  UniqueFd pipe_sink = {};
};

class Relay {
 public:
  enum class Progress { kWait, kMore, kDone };
  // Bits of poll(2); 0: not to be polled.
  struct Wants {
    short framed = 0;
    short source = 0;
    short sink = 0;
  };
  // Of each message that comes between the data. An error ends the relay.
  using OnMessage = std::function<Result<>(const v1::Envelope& message)>;

  Relay(RelayPool& pool, RelayEnds ends, OnMessage on_message);
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // From here on data flow. Before, the source is not read, and data in a frame are an error.
  void Open() { open_ = true; }

  // An error is the end: the plain stream is then to be reset. Steps:
  //   forward-reset   the plain stream or the other end broke off, as connections do
  //   forward         EPROTO, EMSGSIZE: what came is not of the protocol
  //   and those of OnMessage
  Result<Progress> Round();
  const Wants& wants() const { return wants_; }

  // Why this end gives up, told to the other one where that can be done at once.
  void TellFailure(const Error& error);

 private:
  // True where it stopped although it could go on.
  Result<bool> MoveIn();
  Result<bool> MoveOut();
  // How many of the bytes could be used: less where the sink is full.
  Result<size_t> Consume(std::span<const std::byte> bytes);
  Result<> TakeHeader();
  Result<> TakeMessage();
  Result<size_t> ToSink(std::span<const std::byte> bytes);
  void EndSink();
  // How many the framed connection took.
  Result<size_t> SendFramed(std::span<const std::byte> bytes);

  RelayEnds ends_;
  RelayPool& pool_;
  OnMessage on_message_;
  bool source_is_socket_;
  bool sink_is_socket_;
  Wants wants_;
  bool open_ = false;

  Rest outgoing_;               // frames, as they are sent
  bool out_ended_ = false;      // the end frame is in outgoing_ or sent
  bool framed_broken_ = false;  // it takes no more; why is to be read from it

  Rest incoming_;  // as it came: what is next in it the fields below say
  HeaderBytes header_{};
  size_t header_bytes_ = 0;
  size_t data_left_ = 0;
  std::optional<size_t> message_left_;
  std::string message_;
  bool in_ended_ = false;
  std::optional<Error> sink_error_;  // what still comes for it is dropped
};

// A close of this socket resets its connection, where it is TCP.
void ResetOnClose(int socket);

}  // namespace berth::wire

#endif  // BERTH_PROTOCOL_WIRE_RELAY_H_
