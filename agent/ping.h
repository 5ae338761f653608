// SPDX-License-Identifier: Apache-2.0
//
// The answer to a Ping, which may come between calls and on a connection that follows.
#ifndef BERTH_AGENT_PING_H_
#define BERTH_AGENT_PING_H_

#include "protocol/base/result.h"
#include "protocol/proto/berth.pb.h"

namespace berth::agent {

// EMSGSIZE where the payload is over its bound.
Result<v1::Envelope> AnswerPing(const v1::Ping& ping);

}  // namespace berth::agent

#endif  // BERTH_AGENT_PING_H_
