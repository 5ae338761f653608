// SPDX-License-Identifier: Apache-2.0
//
// Channel: frames over a connected stream socket (AF_VSOCK in the guest, AF_UNIX on the host), for
// Asio coroutines. One coroutine reads and one writes at a time; both run on the executor of the
// socket, which must be single-threaded. A Channel must outlive its pending operations.
#ifndef BERTH_PROTOCOL_WIRE_CHANNEL_H_
#define BERTH_PROTOCOL_WIRE_CHANNEL_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <optional>
#include <span>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"
#include "protocol/proto/berth.pb.h"
#include "protocol/wire/frame.h"

namespace berth::wire {

using Socket = boost::asio::generic::stream_protocol::socket;

// A connected descriptor as an Asio socket.
Result<Socket> AdoptSocket(boost::asio::any_io_executor executor, UniqueFd fd);

// An error code of Asio as an Error: end of stream becomes ECONNRESET, a cancelled wait ETIMEDOUT
// or ECANCELED.
Error FromAsio(Step step, const boost::system::error_code& code);

// Bytes of a message frame, header included. EMSGSIZE where it is over kMaxMessageBytes.
Result<std::string> EncodeMessage(const v1::Envelope& message);

// EPROTO where it is no Envelope, is nested too deep, or carries a body this build does not know.
Result<v1::Envelope> DecodeMessage(std::span<const std::byte> payload);

class Channel {
 public:
  explicit Channel(Socket socket);
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // The next frame, or nullopt where the peer closed between two frames. The view is valid until
  // the next call. Once a frame has begun, the rest of it has kFrameTimeout.
  //   Read()          waits as long as the peer is silent: for a session that may be silent for
  //   days Read(deadline)  ETIMEDOUT where no whole frame arrives in time
  boost::asio::awaitable<Result<std::optional<FrameView>>> Read();
  boost::asio::awaitable<Result<std::optional<FrameView>>> Read(Deadline deadline);

  // The next frame, which must be a message. ECONNRESET where the peer closes instead.
  boost::asio::awaitable<Result<v1::Envelope>> ReadMessage(Deadline deadline);

  // Writes wait for the peer to take the bytes, for as long as it likes: that is the flow control.
  // Whoever must not wait closes the channel.
  boost::asio::awaitable<Result<>> Write(const v1::Envelope& message);
  // `frame` starts with kFrameHeaderBytes of room for the header, which is filled in; the payload
  // stands behind it.
  boost::asio::awaitable<Result<>> WriteData(Stream stream, std::span<std::byte> frame);
  boost::asio::awaitable<Result<>> WriteEnd(Stream stream);
  boost::asio::awaitable<Result<>> WriteBytes(std::span<const std::byte> bytes);

  // Ends every pending operation with ECANCELED; later ones fail.
  void Close();
  bool closed() const { return closed_; }

  Socket& socket() { return socket_; }

 private:
  boost::asio::awaitable<Result<std::optional<FrameView>>> ReadUntil(
      std::optional<Deadline> deadline);

  Socket socket_;
  boost::asio::steady_timer timer_;
  FrameBuffer buffer_;
  bool closed_ = false;
  uint64_t timer_epoch_ =
      0;  // which wait the timer stands for: a late expiry must not end the next read
  bool timed_out_ = false;
};

}  // namespace berth::wire

#endif  // BERTH_PROTOCOL_WIRE_CHANNEL_H_
