// SPDX-License-Identifier: Apache-2.0
#include "agent/ping.h"

#include "protocol/base/clock.h"
#include "protocol/wire/limits.h"

namespace berth::agent {

Result<v1::Envelope> AnswerPing(const v1::Ping& ping) {
  if (ping.payload().size() > wire::kMaxPingBytes) {
    return Fail("ping", EMSGSIZE,
                "the payload is over " + std::to_string(wire::kMaxPingBytes) + " bytes");
  }
  v1::Envelope answer;
  answer.mutable_pong()->set_payload(ping.payload());
  answer.mutable_pong()->set_monotonic_us(ToMicroseconds(MonotonicNs()));
  return answer;
}

}  // namespace berth::agent
