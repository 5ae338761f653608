// SPDX-License-Identifier: Apache-2.0
//
// The handshake: each end's first message is its Hello, and the lower generation wins. The end that
// dialled sends its Hello at once, with its opening request right behind (a message that the agreed
// generation lacks is refused by its receiver anyway). The end that was dialled answers a Hello
// with its own: it may put both answers into one write where the request is already there, and a
// stranger learns nothing from it.
#ifndef BERTH_PROTOCOL_WIRE_HANDSHAKE_H_
#define BERTH_PROTOCOL_WIRE_HANDSHAKE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/base/result.h"
#include "protocol/proto/berth.pb.h"

namespace berth::wire {

// The generation that this build speaks, and the oldest that it still does.
inline constexpr uint32_t kGeneration = 3;
inline constexpr uint32_t kOldestGeneration = 1;
// The first that has service calls, Follow and what comes with it.
inline constexpr uint32_t kServiceGeneration = 2;
// The first with sessions that outlive their connection, logs, files, forwards, health, statistics,
// and orders about time and power.
inline constexpr uint32_t kOperatorGeneration = 3;

// Built from the release and the source revision; for people.
const char* BuildId();

// Our Hello. `boot_id` and `instance_id`: 16 bytes each in the guest, empty on the host.
v1::Hello MakeHello(std::string boot_id, std::string instance_id);

// A boot or instance id as people see it: 32 hex digits.
std::string HexOfId(std::string_view id);

// The generation both speak. EPROTONOSUPPORT, with both ranges and builds named, where there is
// none.
Result<uint32_t> Negotiate(const v1::Hello& ours, const v1::Hello& theirs);

// A Failure message for `error`, its texts cut to kMaxFailureBytes; and an Error for what a peer
// sent, with control characters taken out: it is shown to people.
v1::Failure ToFailure(const Error& error);
Error FromFailure(const v1::Failure& failure);

}  // namespace berth::wire

#endif  // BERTH_PROTOCOL_WIRE_HANDSHAKE_H_
