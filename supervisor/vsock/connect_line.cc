// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/connect_line.h"

#include <charconv>

#include "supervisor/vsock/limits.h"
#include "supervisor/vsock/packet.h"

namespace berth::vsock {

namespace {

constexpr std::string_view kVerb = "CONNECT ";
constexpr ConnectLine kInvalidLine{ConnectLine::Status::kInvalid};

}  // namespace

ConnectLine ParseConnectLine(std::string_view sent) {
  sent = sent.substr(0, kMaxConnectLineBytes);
  const size_t common = sent.size() < kVerb.size() ? sent.size() : kVerb.size();
  if (sent.substr(0, common) != kVerb.substr(0, common)) return kInvalidLine;
  const std::string_view rest = sent.substr(common);
  const size_t digits = rest.find_first_not_of("0123456789");
  if (digits == std::string_view::npos) {
    return sent.size() < kMaxConnectLineBytes ? ConnectLine{ConnectLine::Status::kPartial}
                                              : kInvalidLine;
  }
  if (rest[digits] != '\n') return kInvalidLine;
  uint32_t port = 0;
  // Fails on no digits and on more than 32 bits.
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + digits, port);
  if (error != std::errc() || port == kAnyPort) return kInvalidLine;
  return ConnectLine{ConnectLine::Status::kWhole, port, kVerb.size() + digits + 1};
}

}  // namespace berth::vsock
