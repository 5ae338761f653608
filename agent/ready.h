// SPDX-License-Identifier: Apache-2.0
//
// The one connection that the guest makes: it rings the host's bell once per start of the agent, so
// that no one on the host has to poll.
#ifndef BERTH_AGENT_READY_H_
#define BERTH_AGENT_READY_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <functional>

#include "agent/control_link.h"
#include "protocol/base/result.h"
#include "protocol/proto/berth.pb.h"

namespace berth::agent {

using HostEndpoint = boost::asio::generic::stream_protocol::endpoint;

// CID 2, wire::kReadyPort.
HostEndpoint HostReadyEndpoint();

// The host's answer to Ready.
struct ReadyHeard {
  uint32_t generation = 0;  // that both speak
  v1::ReadyAck ack;
};

// One attempt: connects, says Hello and Ready, and waits for the answer.
boost::asio::awaitable<Result<ReadyHeard>> SayReadyOnce(boost::asio::any_io_executor executor,
                                                        HostEndpoint host, const v1::Hello& hello,
                                                        const BootRecord& boot);

// Attempts with a bounded backoff until the host has heard it; `failed` is called after each that
// came to nothing. `hello` outlives it.
boost::asio::awaitable<ReadyHeard> SayReady(boost::asio::any_io_executor executor,
                                            HostEndpoint host, const v1::Hello& hello,
                                            BootRecord boot, std::function<void()> failed);

}  // namespace berth::agent

#endif  // BERTH_AGENT_READY_H_
