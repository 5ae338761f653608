// SPDX-License-Identifier: Apache-2.0
//
// A record of /dev/kmsg (Linux: Documentation/ABI/testing/dev-kmsg).
#ifndef BERTH_AGENT_KERNEL_MESSAGE_H_
#define BERTH_AGENT_KERNEL_MESSAGE_H_

#include <cstdint>
#include <optional>
#include <string_view>

namespace berth::agent {

struct KernelMessage {
  bool from_kernel = false;  // what a process writes there has another facility
  uint8_t level = 6;
  uint64_t seq = 0;
  uint64_t monotonic_us = 0;
  std::string_view text;  // its first line: those behind it are properties
};

// "6,1234,5678901,-;text\n KEY=value\n". Nullopt: of another form.
std::optional<KernelMessage> ParseKernelMessage(std::string_view record);

}  // namespace berth::agent

#endif  // BERTH_AGENT_KERNEL_MESSAGE_H_
