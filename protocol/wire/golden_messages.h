// SPDX-License-Identifier: Apache-2.0
//
// The messages whose golden frames stand in golden/generation-N.txt, built by hand: by their names
// there, and by the generation that was the first to have them or their new fields. A generation's
// do not change once it is released. Values; for golden_test.cc alone.
#ifndef BERTH_PROTOCOL_WIRE_GOLDEN_MESSAGES_H_
#define BERTH_PROTOCOL_WIRE_GOLDEN_MESSAGES_H_

#include <functional>
#include <map>
#include <string>

#include "protocol/proto/berth.pb.h"

namespace berth::wire {

using GoldenMessages = std::map<std::string, std::function<void(v1::Envelope&)>>;

const GoldenMessages& GenerationOne();
const GoldenMessages& GenerationTwo();
const GoldenMessages& GenerationThree();

}  // namespace berth::wire

#endif  // BERTH_PROTOCOL_WIRE_GOLDEN_MESSAGES_H_
