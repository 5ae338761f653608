// SPDX-License-Identifier: Apache-2.0
//
// What a guest says of its use of resources, checked. A pure function; any thread.
#ifndef BERTH_SUPERVISOR_GUEST_CHECK_STATS_H_
#define BERTH_SUPERVISOR_GUEST_CHECK_STATS_H_

#include "protocol/base/result.h"
#include "protocol/proto/berth.pb.h"

namespace berth::guest {

// The bounds of protocol/wire/limits.h: numbers of rows and lengths of texts. Any number may be any
// number: whoever counts with them must expect it. E2BIG, EMSGSIZE.
Result<> CheckStatsReply(const v1::StatsReply& reply);

}  // namespace berth::guest

#endif  // BERTH_SUPERVISOR_GUEST_CHECK_STATS_H_
