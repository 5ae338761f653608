// SPDX-License-Identifier: Apache-2.0
//
// Agent: takes the host's connections and answers them.
//
// Each connection begins with the host's Hello. Its first request decides what it is: ExecStart
// makes it an exec session for the rest of its life; Ping and Shutdown are short calls, of which
// any number may follow each other. One coroutine a connection, all on one thread.
#ifndef BERTH_AGENT_AGENT_H_
#define BERTH_AGENT_AGENT_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <list>
#include <memory>
#include <string>

#include "agent/buffer_pool.h"
#include "agent/control_link.h"
#include "agent/event.h"
#include "agent/exec_child.h"
#include "agent/exec_session.h"
#include "agent/ready.h"
#include "protocol/base/log.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"
#include "protocol/wire/channel.h"

namespace berth::agent {

struct AgentOptions {
  UniqueFd listener;  // listening stream socket, AF_VSOCK in a guest
  UniqueFd control;   // to PID 1
  HostEndpoint host = HostReadyEndpoint();
  v1::Hello hello;
};

class Agent {
 public:
  // Connections at once, of any kind. The rest wait in the listener's backlog.
  static constexpr int kMaxConnections = 256;
  // Descriptors that so many sessions need, and some for the agent itself.
  static constexpr rlim_t kOpenFiles = kMaxConnections * 8 + 64;

  // Ignores SIGPIPE and raises the limit of open files for the whole process.
  Agent(boost::asio::io_context& context, AgentOptions options);
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // Until the context stops; it is stopped when PID 1 closes the control socket.
  void Start();

  int connections() const { return connections_; }

 private:
  boost::asio::awaitable<void> Accept();
  boost::asio::awaitable<void> FollowControl();
  boost::asio::awaitable<void> Serve(UniqueFd connection);

  // Reads the host's Hello. Leaves our own in `greeting` where it may go out with the first answer.
  boost::asio::awaitable<Result<>> Greet(wire::Channel& channel, std::string& greeting);
  boost::asio::awaitable<Result<>> ServeCalls(std::unique_ptr<wire::Channel> channel,
                                              std::string greeting);
  boost::asio::awaitable<Result<>> ServeExec(std::unique_ptr<wire::Channel> channel,
                                             const v1::ExecStart& request, std::string greeting);
  Result<v1::Envelope> Answer(const v1::Envelope& request);
  void Complain(const Error& error);

  boost::asio::io_context& context_;
  boost::asio::posix::stream_descriptor listener_;
  ControlLink control_;
  HostEndpoint host_;
  v1::Hello hello_;
  ExecDefaults defaults_;
  BufferPool pool_;
  std::list<std::shared_ptr<ExecSession>> sessions_;  // after the pool, whose buffers they hold
  Event freed_;                                       // a connection ended while the agent was full
  LogLimiter complaints_;
  int connections_ = 0;
  bool shutting_down_ = false;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_AGENT_H_
