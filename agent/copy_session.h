// SPDX-License-Identifier: Apache-2.0
//
// The guest's end of a copy: one connection on which the host's CopyStart has come. The work is
// protocol/files'; this moves its frames. Disks are read and written by the agent's one thread, a
// bounded piece a turn, then the other connections have theirs.
#ifndef BERTH_AGENT_COPY_SESSION_H_
#define BERTH_AGENT_COPY_SESSION_H_

#include <boost/asio/awaitable.hpp>
#include <string>

#include "protocol/base/result.h"
#include "protocol/proto/berth.pb.h"
#include "protocol/wire/channel.h"

namespace berth::agent {

// Until the copy is done and the host has closed, or either end has failed: the host is told of
// what failed here. `greeting` are frames that go out first. An error is one that is worth a line
// in the guest's log: the host broke the protocol.
boost::asio::awaitable<Result<>> RunCopy(wire::Channel& channel, const v1::CopyStart& start,
                                         std::string greeting);

}  // namespace berth::agent

#endif  // BERTH_AGENT_COPY_SESSION_H_
