// SPDX-License-Identifier: Apache-2.0
//
// OomKill: a process of the guest that its kernel killed for want of memory, by the guest's word. A
// value; any thread.
#ifndef BERTH_SUPERVISOR_GUEST_OOM_KILL_H_
#define BERTH_SUPERVISOR_GUEST_OOM_KILL_H_

#include <string>

#include "protocol/proto/berth.pb.h"

namespace berth::guest {

// "out of memory: its kernel killed python3 (pid 123, uid 33) in /berth/web, service web, which is
// at its memory limit". Printable, and of bounded length.
std::string ExplainOomKill(const v1::OomKill& kill);

}  // namespace berth::guest

#endif  // BERTH_SUPERVISOR_GUEST_OOM_KILL_H_
