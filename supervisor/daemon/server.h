// SPDX-License-Identifier: Apache-2.0
//
// Server: the API's listening socket. It is bound under a temporary name and renamed when it
// listens, so whoever sees it can connect to it. Owns its connections' number, not them. One
// thread.
#ifndef BERTH_SUPERVISOR_DAEMON_SERVER_H_
#define BERTH_SUPERVISOR_DAEMON_SERVER_H_

#include <boost/asio/local/stream_protocol.hpp>
#include <memory>
#include <optional>
#include <vector>

#include "supervisor/daemon/connection.h"

namespace berth::daemon {

inline constexpr size_t kMaxConnections = 512;

struct ServerOptions {
  std::string socket;
  std::optional<gid_t> group = {};  // may open it too: mode 0660 instead of 0600
  size_t max_connections = kMaxConnections;
  ConnectionLimits limits = {};
};

class Server {
 public:
  Server(const boost::asio::any_io_executor& executor, Service& service, ServerOptions options);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  // Steps "api-socket": EADDRINUSE where something answers on the path already.
  Result<> Listen();
  // No new clients; the socket's file goes.
  void StopListening();
  // Ends all connections.
  void CloseAll();

 private:
  boost::asio::awaitable<void> AcceptLoop();
  size_t CountConnections();

  boost::asio::local::stream_protocol::acceptor acceptor_;
  Service& service_;
  const ServerOptions options_;
  std::vector<std::weak_ptr<Connection>> connections_;
  bool listening_ = false;
};

}  // namespace berth::daemon

#endif  // BERTH_SUPERVISOR_DAEMON_SERVER_H_
