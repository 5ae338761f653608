// SPDX-License-Identifier: Apache-2.0
//
// Channel: frames over a connected stream socket (AF_VSOCK in the guest, AF_UNIX on the host), for
// Asio coroutines. One coroutine reads and one writes at a time; both run on the executor of the
// socket, which must be single-threaded. A Channel must outlive its pending operations. Each call
// tries the system call first: where bytes are there it costs no turn of the event loop.
#ifndef BERTH_PROTOCOL_WIRE_CHANNEL_H_
#define BERTH_PROTOCOL_WIRE_CHANNEL_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <optional>
#include <span>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"
#include "protocol/proto/berth.pb.h"
#include "protocol/wire/expiry.h"
#include "protocol/wire/frame.h"

namespace berth::wire {

using Socket = boost::asio::generic::stream_protocol::socket;

// A connected descriptor as an Asio socket.
Result<Socket> AdoptSocket(const boost::asio::any_io_executor& executor, UniqueFd fd);

// An error code of Asio as an Error: end of stream becomes ECONNRESET, a cancelled wait ETIMEDOUT
// or ECANCELED.
Error FromAsio(Step step, const boost::system::error_code& code);

// Bytes of a message frame, header included. EMSGSIZE where it is over kMaxMessageBytes.
Result<std::string> EncodeMessage(const v1::Envelope& message);

// EPROTO where it is no Envelope, is nested too deep, or carries a body this build does not know.
// Bounds of single fields are their reader's affair.
Result<v1::Envelope> DecodeMessage(std::span<const std::byte> payload);

// What an attempt to read found.
struct TryFrame {
  enum class State { kFrame, kWouldBlock, kClosed };
  State state{};
  FrameView frame;
};

class Channel {
 public:
  // `max_message_bytes`: of each message that is read.
  explicit Channel(Socket socket, size_t max_message_bytes = kMaxMessageBytes);
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // The next frame, or a piece of a data frame (FrameBuffer), or nullopt where the peer closed
  // between two frames. The view is valid until the next call. Once a frame has begun, the rest of
  // it has kFrameTimeout.
  //   Read()          waits as long as the peer is silent: a session may be silent for days
  //   Read(deadline)  ETIMEDOUT where nothing whole arrives in time
  boost::asio::awaitable<Result<std::optional<FrameView>>> Read();
  boost::asio::awaitable<Result<std::optional<FrameView>>> Read(Deadline deadline);

  // What has arrived already, without waiting.
  Result<TryFrame> TryRead();
  // Part of what was read was not handed out yet: TryRead may have a frame though the socket has
  // nothing.
  bool HasUnreadBytes() const { return buffer_.InsideFrame(); }

  // The next frame, which must be a message. ECONNRESET where the peer closes instead.
  boost::asio::awaitable<Result<v1::Envelope>> ReadMessage(Deadline deadline);

  // Writes without a deadline wait for the peer to take the bytes, for as long as it likes: that is
  // the flow control. Whoever must not wait closes the channel.
  boost::asio::awaitable<Result<>> Write(const v1::Envelope& message);
  boost::asio::awaitable<Result<>> Write(const v1::Envelope& message, Deadline deadline);
  // `frame` starts with kFrameHeaderBytes of room for the header, which is filled in; the payload
  // stands behind it.
  boost::asio::awaitable<Result<>> WriteData(Stream stream, std::span<std::byte> frame);
  boost::asio::awaitable<Result<>> WriteEnd(Stream stream);
  boost::asio::awaitable<Result<>> WriteBytes(std::span<const std::byte> bytes);
  boost::asio::awaitable<Result<>> WriteBytes(std::span<const std::byte> bytes, Deadline deadline);

  // Ends every pending operation with ECANCELED; later ones fail.
  void Close();
  bool closed() const { return closed_; }

  Socket& socket() { return socket_; }
  boost::asio::any_io_executor executor() { return socket_.get_executor(); }

 private:
  boost::asio::awaitable<Result<std::optional<FrameView>>> ReadUntil(
      std::optional<Deadline> deadline);
  boost::asio::awaitable<Result<>> WriteUntil(std::span<const std::byte> bytes,
                                              std::optional<Deadline> deadline);

  Socket socket_;
  Expiry expiry_;  // after socket_: it is gone before the socket that it cancels
  FrameBuffer buffer_;
  bool closed_ = false;
};

}  // namespace berth::wire

#endif  // BERTH_PROTOCOL_WIRE_CHANNEL_H_
