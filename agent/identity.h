// SPDX-License-Identifier: Apache-2.0
//
// What the agent says about itself in every Hello.
#ifndef BERTH_AGENT_IDENTITY_H_
#define BERTH_AGENT_IDENTITY_H_

#include "protocol/proto/berth.pb.h"

namespace berth::agent {

// Made once per start of the agent: the guest's boot id, and 16 random bytes for this start.
v1::Hello MakeAgentHello();

}  // namespace berth::agent

#endif  // BERTH_AGENT_IDENTITY_H_
