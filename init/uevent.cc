// SPDX-License-Identifier: Apache-2.0
#include "init/uevent.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include <utility>

namespace berth::init {

Result<UeventSocket> UeventSocket::Open() {
  constexpr unsigned kKernelEvents = 1;  // multicast group of the kernel itself; 2 is udev's
  UniqueFd fd(
      socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
  if (!fd) return ErrnoError("uevent-socket");
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = kKernelEvents;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return ErrnoError("uevent-socket", "bind");
  }
  return UeventSocket(std::move(fd));
}

void UeventSocket::Drain() {
  // What happened does not matter, only that something did: the condition is asked again. ENOBUFS
  // (events lost) is read as an event too.
  char event[4096];
  while (recv(fd_.get(), event, sizeof(event), MSG_DONTWAIT) >= 0 || errno == ENOBUFS) {
  }
}

}  // namespace berth::init
