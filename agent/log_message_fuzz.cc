// SPDX-License-Identifier: Apache-2.0
//
// What any process of the guest can send to /dev/log or write to /dev/kmsg.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "agent/kernel_message.h"
#include "agent/syslog_message.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string scratch;
  const auto message = berth::agent::ParseSyslog(text, scratch);
  // Nothing is added but the brackets of a process number and a colon.
  if (message.level > 7 || message.text.size() > size + 4) std::abort();
  const auto kernel = berth::agent::ParseKernelMessage(text);
  if (kernel && (kernel->level > 7 || kernel->text.find('\n') != std::string_view::npos ||
                 kernel->text.size() > size)) {
    std::abort();
  }
  return 0;
}
