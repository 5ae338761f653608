// SPDX-License-Identifier: Apache-2.0
//
// The kernel command line comes from the VM's spec: any bytes.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "init/cmdline.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto words = berth::init::CmdlineWords(text);
  if (words.size() > berth::init::kMaxCmdlineWords) std::abort();
  const auto options = berth::init::ParseCmdline(text);
  // A program path is absolute or not there, whatever the input.
  if (!options.init.empty() && options.init[0] != '/') std::abort();
  if (!options.agent.empty() && options.agent[0] != '/') std::abort();
  return 0;
}
