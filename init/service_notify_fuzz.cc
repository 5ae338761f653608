// SPDX-License-Identifier: Apache-2.0
//
// Any text that a process of the guest sends to a service's NOTIFY_SOCKET, and any env file.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "init/service_notify.h"
#include "init/service_spawn.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto message = berth::init::ParseNotify(text);
  if (message.status && message.status->size() > size) std::abort();
  const auto environment = berth::init::ParseEnvFile(text, "file");
  if (!environment) return 0;
  for (const auto& [name, value] : *environment) {
    // Neither may end a string of the environment early, or hide in another's name.
    if (name.find('=') != std::string::npos || (name + value).find('\0') != std::string::npos) {
      std::abort();
    }
  }
  return 0;
}
