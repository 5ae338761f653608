// SPDX-License-Identifier: Apache-2.0
#include "init/netlink.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <charconv>
#include <cstdlib>
#include <cstring>

namespace berth::init {
namespace {

constexpr size_t kMessageBytes = 256;  // header, body, and four attributes of at most 16 bytes
constexpr size_t kAnswerBytes = 4096;

}  // namespace

size_t Prefix::address_bytes() const { return family == AF_INET ? 4 : 16; }

std::optional<Prefix> ParsePrefix(std::string_view text) {
  const size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  Prefix prefix;
  prefix.family = address.find(':') == std::string::npos ? AF_INET : AF_INET6;
  if (inet_pton(prefix.family, address.c_str(), prefix.address.data()) != 1) return std::nullopt;
  const auto all = static_cast<unsigned>(prefix.address_bytes() * 8);
  unsigned bits = all;
  if (slash != std::string_view::npos) {
    const std::string_view length = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), bits);
    if (error != std::errc() || end != length.data() + length.size() || bits > all) {
      return std::nullopt;
    }
  }
  prefix.bits = static_cast<uint8_t>(bits);
  return prefix;
}

ssize_t ReceiveFromKernel(int fd, std::span<std::byte> to) {
  for (;;) {
    sockaddr_nl sender{};
    socklen_t size = sizeof(sender);
    const ssize_t n = recvfrom(fd, to.data(), to.size(), MSG_DONTWAIT,
                               reinterpret_cast<sockaddr*>(&sender), &size);
    if (n < 0 || sender.nl_pid == 0) return n;
  }
}

// One request as it is put together.
class Netlink::Message {
 public:
  template <typename Body>
  Message(uint16_t type, uint16_t flags, const Body& body) {
    static_assert(NLMSG_SPACE(sizeof(Body)) < kMessageBytes / 2);
    nlmsghdr header{};
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    std::memcpy(bytes_, &header, sizeof(header));
    std::memcpy(bytes_ + NLMSG_HDRLEN, &body, sizeof(body));
    used_ = NLMSG_SPACE(sizeof(Body));
  }
  void Add(uint16_t type, std::span<const uint8_t> value) {
    rtattr attribute{};
    attribute.rta_type = type;
    attribute.rta_len = static_cast<uint16_t>(RTA_LENGTH(value.size()));
    if (used_ + RTA_SPACE(value.size()) > kMessageBytes) std::abort();
    std::memcpy(bytes_ + used_, &attribute, sizeof(attribute));
    std::memcpy(bytes_ + used_ + RTA_LENGTH(0), value.data(), value.size());
    used_ += RTA_SPACE(value.size());
  }
  void Add(uint16_t type, uint32_t value) {
    uint8_t raw[sizeof(value)];
    std::memcpy(raw, &value, sizeof(value));
    Add(type, raw);
  }
  void Add(uint16_t type, const Prefix& prefix) {
    Add(type, std::span(prefix.address).first(prefix.address_bytes()));
  }
  std::span<const uint8_t> Finish(uint32_t sequence) {
    const auto length = static_cast<uint32_t>(used_);
    std::memcpy(bytes_ + offsetof(nlmsghdr, nlmsg_len), &length, sizeof(length));
    std::memcpy(bytes_ + offsetof(nlmsghdr, nlmsg_seq), &sequence, sizeof(sequence));
    return {bytes_, used_};
  }

 private:
  uint8_t bytes_[kMessageBytes] = {};
  size_t used_ = 0;
};

Result<Netlink> Netlink::Open() {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd) return ErrnoError("network", "socket(AF_NETLINK)", "the kernel has no network");
  return Netlink(std::move(fd));
}

int Netlink::Ask(Message& message) {
  constexpr uint32_t kSequence = 1;
  const auto bytes = message.Finish(kSequence);
  if (send(fd_.get(), bytes.data(), bytes.size(), 0) < 0) return errno;
  std::byte answer[kAnswerBytes];
  // No answer would be a bug of the kernel; to hang PID 1 on it would be ours.
  const ssize_t n = ReceiveFromKernel(fd_.get(), answer);
  if (n < 0) return errno;
  nlmsghdr header{};
  nlmsgerr error{};
  if (static_cast<size_t>(n) < NLMSG_HDRLEN + sizeof(error)) return EPROTO;
  std::memcpy(&header, answer, sizeof(header));
  std::memcpy(&error, answer + NLMSG_HDRLEN, sizeof(error));
  return header.nlmsg_type == NLMSG_ERROR ? -error.error : EPROTO;
}

Result<> Netlink::SetUp(int index, uint32_t mtu) {
  ifinfomsg link{};
  link.ifi_family = AF_UNSPEC;
  link.ifi_index = index;
  link.ifi_flags = IFF_UP;
  link.ifi_change = IFF_UP;
  Message message(RTM_NEWLINK, 0, link);
  if (mtu != 0) message.Add(IFLA_MTU, mtu);
  if (const int errnum = Ask(message)) {
    return Fail("network", errnum, mtu == 0 ? "up" : "up, mtu " + std::to_string(mtu));
  }
  return {};
}

Result<> Netlink::AddAddress(int index, const Prefix& address) {
  ifaddrmsg body{};
  body.ifa_family = static_cast<uint8_t>(address.family);
  body.ifa_prefixlen = address.bits;
  body.ifa_index = static_cast<uint32_t>(index);
  if (address.family == AF_INET6) body.ifa_flags = IFA_F_NODAD;
  Message message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, body);
  message.Add(IFA_LOCAL, address);
  message.Add(IFA_ADDRESS, address);
  const int errnum = Ask(message);
  if (errnum != 0 && errnum != EEXIST) return Fail("network", errnum, "address");
  return {};
}

Result<> Netlink::AddRoute(int index, const Route& route) {
  rtmsg body{};
  body.rtm_family = static_cast<uint8_t>(route.to.family);
  body.rtm_dst_len = route.to.bits;
  body.rtm_table = RT_TABLE_MAIN;
  body.rtm_protocol = RTPROT_BOOT;
  body.rtm_scope = route.via ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  body.rtm_type = RTN_UNICAST;
  Message message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, body);
  if (route.to.bits != 0) message.Add(RTA_DST, route.to);
  if (route.via) message.Add(RTA_GATEWAY, *route.via);
  message.Add(RTA_OIF, static_cast<uint32_t>(index));
  if (route.metric != 0) message.Add(RTA_PRIORITY, route.metric);
  const int errnum = Ask(message);
  if (errnum != 0 && errnum != EEXIST) {
    return Fail("network", errnum, "route",
                errnum == ENETUNREACH || errnum == EHOSTUNREACH
                    ? "no address of the interface reaches the gateway"
                    : "");
  }
  return {};
}

}  // namespace berth::init
