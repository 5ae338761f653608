// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/options.h"

#include <charconv>
#include <limits>

#include "supervisor/vsock/packet.h"

namespace berth::vsock {

namespace {

// 0 to 2 are the hypervisor's, the loopback's and the host's; 2^32 - 1 is VMADDR_CID_ANY.
constexpr uint64_t kMinCid = 3;
constexpr uint64_t kMaxCid = std::numeric_limits<uint32_t>::max() - 1;

Result<uint64_t> Number(std::string_view option, std::string_view text, uint64_t min,
                        uint64_t max) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < min || value > max) {
    return Fail("options", EINVAL,
                std::string(option) + " takes a number from " + std::to_string(min) + " to " +
                    std::to_string(max) + ", not '" + std::string(text) + "'");
  }
  return value;
}

}  // namespace

Result<Options> ParseOptions(std::span<char* const> arguments) {
  Options options;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view option = arguments[i];
    if (option == "--help" || option == "-h") {
      options.help = true;
      return options;
    }
    if (i + 1 == arguments.size()) {
      return Fail("options", EINVAL, "'" + std::string(option) + "' has no value", "see --help");
    }
    const std::string_view value = arguments[++i];
    if (option == "--vhost-socket") {
      options.vhost_socket = value;
    } else if (option == "--socket") {
      options.socket = value;
    } else if (option == "--cid") {
      BERTH_ASSIGN(options.cid, Number(option, value, kMinCid, kMaxCid));
    } else if (option == "--notify-fd") {
      BERTH_ASSIGN(const uint64_t fd, Number(option, value, 0, std::numeric_limits<int>::max()));
      options.notify_fd = static_cast<int>(fd);
    } else if (option == "--pairs-fd") {
      BERTH_ASSIGN(const uint64_t fd, Number(option, value, 0, std::numeric_limits<int>::max()));
      options.pairs_fd = static_cast<int>(fd);
    } else {
      return Fail("options", EINVAL, "unknown option '" + std::string(option) + "'", "see --help");
    }
  }
  if (options.vhost_socket.empty() || options.socket.empty() || options.cid == 0) {
    return Fail("options", EINVAL, "--vhost-socket, --socket and --cid are required", "see --help");
  }
  return options;
}

}  // namespace berth::vsock
