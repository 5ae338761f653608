// SPDX-License-Identifier: Apache-2.0
//
// The one connection that the guest makes: it rings the host's bell once per start of the agent, so
// that no one on the host has to poll.
#ifndef BERTH_AGENT_READY_H_
#define BERTH_AGENT_READY_H_

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include "agent/control_link.h"
#include "protocol/base/result.h"
#include "protocol/proto/berth.pb.h"

namespace berth::agent {

using HostEndpoint = boost::asio::generic::stream_protocol::endpoint;

// CID 2, wire::kReadyPort.
HostEndpoint HostReadyEndpoint();

// One attempt: connects, says Hello and Ready, and waits for ReadyAck, which is the answer.
boost::asio::awaitable<Result<v1::ReadyAck>> SayReadyOnce(boost::asio::any_io_executor executor,
                                                          HostEndpoint host, const v1::Hello& hello,
                                                          const BootRecord& boot);

// Attempts with a bounded backoff until the host has heard it. `hello` outlives it.
boost::asio::awaitable<v1::ReadyAck> SayReady(boost::asio::any_io_executor executor,
                                              HostEndpoint host, const v1::Hello& hello,
                                              BootRecord boot);

}  // namespace berth::agent

#endif  // BERTH_AGENT_READY_H_
