// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a service's answer to an HTTP check, in pieces whose size the first byte says.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/http_reply.h"
#include "protocol/wire/limits.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t piece = size_t{data[0]} + 1;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  berth::agent::HttpReply reply;
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, std::min(piece, bytes.size()));
    bytes.remove_prefix(part.size());
    if (!reply.Take(part)) return 0;
  }
  const bool ended = reply.TakeEnd().has_value();
  if (reply.body().size() > berth::wire::kMaxHttpReplyBytes) std::abort();
  if (ended && (!reply.has_head() || reply.status() < 0 || reply.status() > 999)) std::abort();
  return 0;
}
