// SPDX-License-Identifier: Apache-2.0
//
// The few things of rtnetlink(7) that PID 1 needs: a link's state and MTU, an address, a route.
// Each is one request and its acknowledgement. The kernel answers a request before send(2) returns,
// so nothing here waits.
#ifndef BERTH_INIT_NETLINK_H_
#define BERTH_INIT_NETLINK_H_

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "protocol/base/result.h"
#include "protocol/base/unique_fd.h"

namespace berth::init {

// An IPv4 or IPv6 address with a prefix length, in network byte order.
struct Prefix {
  int family = 0;  // AF_INET, AF_INET6
  std::array<uint8_t, 16> address{};
  uint8_t bits = 0;

  size_t address_bytes() const;
};

// "10.0.0.2/24", "fd00::2/64"; without a length the whole address. Nothing where it is neither.
std::optional<Prefix> ParsePrefix(std::string_view text);

struct Route {
  Prefix to;                  // bits 0: the default route of its family
  std::optional<Prefix> via;  // its address only
  uint32_t metric = 0;        // 0: the kernel's
};

// The next message of the kernel's, as recv(2) returns it, without waiting: any process with the
// right to can send to a netlink socket, and what is not the kernel's is dropped.
ssize_t ReceiveFromKernel(int fd, std::span<std::byte> to);

class Netlink {
 public:
  static Result<Netlink> Open();

  // Sets the link up. `mtu` 0: the driver's.
  Result<> SetUp(int index, uint32_t mtu);
  // Success where it is there already. IPv6 addresses skip duplicate address detection: nobody
  // else chooses a guest's addresses, and a second of "tentative" would hold its services.
  Result<> AddAddress(int index, const Prefix& address);
  Result<> AddRoute(int index, const Route& route);

 private:
  explicit Netlink(UniqueFd fd) : fd_(std::move(fd)) {}
  class Message;
  // The kernel's answer as an errno; 0: done.
  int Ask(Message& message);

  UniqueFd fd_;
};

}  // namespace berth::init

#endif  // BERTH_INIT_NETLINK_H_
