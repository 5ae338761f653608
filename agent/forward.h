// SPDX-License-Identifier: Apache-2.0
//
// A forwarded connection at its end in the guest: from the host's Forward to a connection to a TCP
// port or a Unix socket of the guest, and the bytes in between. Needs no network but the loopback.
//
// Names are not resolved, but for "localhost": a resolver asks servers and files of the guest, and
// would hold up the agent's one thread. The host's `forward` takes addresses alike.
#ifndef BERTH_AGENT_FORWARD_H_
#define BERTH_AGENT_FORWARD_H_

#include <sys/socket.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <memory>
#include <string>
#include <vector>

#include "agent/event.h"
#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"
#include "protocol/proto/berth.pb.h"
#include "protocol/wire/channel.h"
#include "protocol/wire/relay.h"

namespace berth::agent {

struct ForwardAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  std::string text;  // "127.0.0.1:80", "/run/db.sock"
};

// Where to connect to, in the order of trial. EINVAL: a name, a port or a path that cannot be.
Result<std::vector<ForwardAddress>> ForwardAddresses(const v1::Forward& request);

// A connected, non-blocking socket. The error of the first address where none can be reached;
// ETIMEDOUT at the deadline.
boost::asio::awaitable<Result<UniqueFd>> ConnectForward(boost::asio::any_io_executor executor,
                                                        std::vector<ForwardAddress> addresses,
                                                        Deadline deadline);

// One connection while it lives. Held by the agent, not by its own coroutine; runs on the agent's
// thread.
class ForwardSession : public std::enable_shared_from_this<ForwardSession> {
 public:
  ForwardSession(std::unique_ptr<wire::Channel> channel, UniqueFd target, wire::RelayPool& pool);
  ForwardSession(const ForwardSession&) = delete;
  ForwardSession& operator=(const ForwardSession&) = delete;

  // Until both directions have ended, or one end is gone: the other is reset then.
  boost::asio::awaitable<void> Run();

 private:
  // Which waits are on their way.
  struct Pending {
    bool read = false;
    bool write = false;
  };

  template <typename Object, typename Type>
  void Arm(Object& object, Type type, bool& pending);
  void ArmAll();

  std::unique_ptr<wire::Channel> channel_;
  boost::asio::posix::stream_descriptor target_;
  wire::Relay relay_;  // after both, whose descriptors it uses
  Event wake_;
  Pending channel_pending_;
  Pending target_pending_;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_FORWARD_H_
