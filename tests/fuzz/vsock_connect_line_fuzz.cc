// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target: the first line of a host client. What the parser says of a prefix must agree with
// what it says of more.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "supervisor/vsock/connect_line.h"
#include "supervisor/vsock/limits.h"

using berth::vsock::ConnectLine;
using berth::vsock::ParseConnectLine;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view sent(reinterpret_cast<const char*>(data), size);
  const ConnectLine whole = ParseConnectLine(sent);
  for (size_t length = 0; length < size; ++length) {
    const ConnectLine part = ParseConnectLine(sent.substr(0, length));
    switch (part.status) {
      case ConnectLine::Status::kInvalid:
        if (whole.status != ConnectLine::Status::kInvalid) abort();
        break;
      case ConnectLine::Status::kWhole:
        if (whole.status != part.status || whole.port != part.port || whole.bytes != part.bytes)
          abort();
        if (part.bytes > length) abort();
        break;
      case ConnectLine::Status::kPartial:
        if (length >= berth::vsock::kMaxConnectLineBytes) abort();
        break;
    }
  }
  return 0;
}
