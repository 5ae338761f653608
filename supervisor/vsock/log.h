// SPDX-License-Identifier: Apache-2.0
//
// Lines on stderr, limited by class: a hostile guest can cause the same complaint a million times a
// second, and each class may say a few lines and then one a second, with how many it left out. One
// thread.
#ifndef BERTH_SUPERVISOR_VSOCK_LOG_H_
#define BERTH_SUPERVISOR_VSOCK_LOG_H_

#include <string_view>

namespace berth::vsock {

enum class Complaint {
  kRing,    // a virtqueue is broken
  kPacket,  // a packet that makes no sense
  kLimit,   // a bound is reached
  kClient,  // a host client that breaks the dialect
  kVhost,   // the hypervisor said something odd
  kCount,
};

void Log(Complaint complaint, std::string_view text);

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_LOG_H_
