// SPDX-License-Identifier: Apache-2.0
//
// Connection: one client of the API. It reads lines, runs their requests, and writes the answers as
// they come; the answers of several requests in flight come in any order, matched by id.
//
// A client that misbehaves harms itself: a line has a longest length and a deadline, requests in
// flight are counted and no more is read meanwhile, answers that are not taken fill a bounded queue
// and then stop the reading, and a client that takes none at all is closed. Owns its socket; lives
// until the last handler has come back, so that its slot counts until then. One thread.
#ifndef BERTH_SUPERVISOR_DAEMON_CONNECTION_H_
#define BERTH_SUPERVISOR_DAEMON_CONNECTION_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <memory>

#include "supervisor/daemon/method.h"
#include "supervisor/lifecycle/notifier.h"

namespace berth::daemon {

struct ConnectionLimits {
  size_t max_in_flight = 32;  // requests (a batch is one) whose answer is not queued yet
  size_t max_queued_bytes = 4 * 1024 * 1024;        // answers not taken: no more is read above that
  std::chrono::milliseconds line_timeout{30'000};   // from the first byte of a line to its end
  std::chrono::milliseconds write_timeout{30'000};  // without any progress
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;

  Connection(Socket socket, Caller caller, Service& service, ConnectionLimits limits);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Spawns what it consists of; they keep it alive.
  void Start();
  // Ends reading and writing. Handlers that run go on; what they answer is dropped.
  void Close();

 private:
  struct Outgoing {
    std::string line;
    UniqueFd fd;
  };

  boost::asio::awaitable<void> WatchHangUp();
  boost::asio::awaitable<void> AwaitGone();
  boost::asio::awaitable<void> ReadLoop();
  boost::asio::awaitable<void> WriteLoop();
  boost::asio::awaitable<bool> WriteOne(const Outgoing& out);
  boost::asio::awaitable<void> Handle(Incoming incoming);
  // The answer of one request, or null for a notification.
  boost::asio::awaitable<json> HandleOne(Request request, bool in_batch, UniqueFd* fd);
  void Queue(std::string line, UniqueFd fd);
  bool MayRead() const;
  void Watch(std::chrono::milliseconds timeout, const char* what, boost::asio::steady_timer& timer,
             uint64_t& epoch);

  Socket socket_;
  const Caller caller_;
  Service& service_;
  const ConnectionLimits limits_;
  lifecycle::Notifier changed_;  // the queue, the number in flight, gone, closed
  boost::asio::steady_timer line_timer_;
  boost::asio::steady_timer write_timer_;
  uint64_t line_epoch_ = 0;
  uint64_t write_epoch_ = 0;
  std::deque<Outgoing> queue_;
  size_t queued_bytes_ = 0;
  size_t in_flight_ = 0;
  bool input_ended_ = false;
  bool gone_ = false;  // the client has closed both halves
  bool closed_ = false;
};

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_CONNECTION_H_
