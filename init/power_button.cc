// SPDX-License-Identifier: Apache-2.0
#include "init/power_button.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "init/netlink.h"

namespace berth::init {
namespace {

constexpr size_t kAcpiMessageBytes = 4096;
constexpr char kFamily[] = "acpi_event";
constexpr std::string_view kGroup = "acpi_mc_group";
constexpr uint16_t kEventAttribute = 1;  // ACPI_GENL_ATTR_EVENT of drivers/acpi/event.c
constexpr std::string_view kPowerButtonClass = "button/power";
constexpr size_t kDeviceClassBytes = 20;  // acpi_device_class, first field of the event

using Bytes = std::span<const std::byte>;

// The value of attribute `type` among those that stand one behind the other in `attributes`, and
// `rest` of them behind it.
Bytes FindAttribute(Bytes attributes, uint16_t type, Bytes* rest = nullptr) {
  while (attributes.size() >= NLA_HDRLEN) {
    nlattr header;
    std::memcpy(&header, attributes.data(), sizeof(header));
    if (header.nla_len < NLA_HDRLEN || header.nla_len > attributes.size()) return {};
    const Bytes value = attributes.subspan(NLA_HDRLEN, header.nla_len - NLA_HDRLEN);
    attributes = attributes.subspan(std::min<size_t>(NLA_ALIGN(header.nla_len), attributes.size()));
    if ((header.nla_type & NLA_TYPE_MASK) != type) continue;
    if (rest != nullptr) *rest = attributes;
    return value;
  }
  return {};
}

// The attributes of a generic netlink message.
Bytes AttributesOf(Bytes message) {
  constexpr size_t kHeaders = NLMSG_HDRLEN + GENL_HDRLEN;
  nlmsghdr header;
  if (message.size() < kHeaders) return {};
  std::memcpy(&header, message.data(), sizeof(header));
  if (header.nlmsg_len < kHeaders || header.nlmsg_len > message.size()) return {};
  return message.subspan(kHeaders, header.nlmsg_len - kHeaders);
}

std::string_view TextOf(Bytes value) {
  const std::string_view text(reinterpret_cast<const char*>(value.data()), value.size());
  return text.substr(0, text.find('\0'));
}

}  // namespace

std::optional<uint32_t> FindAcpiGroup(Bytes answer) {
  const Bytes groups = FindAttribute(AttributesOf(answer), CTRL_ATTR_MCAST_GROUPS);
  // An array: its attributes are numbered from 1 on.
  Bytes rest = groups;
  for (uint16_t number = 1;; ++number) {
    const Bytes group = FindAttribute(rest, number, &rest);
    if (group.empty()) return std::nullopt;
    const Bytes id = FindAttribute(group, CTRL_ATTR_MCAST_GRP_ID);
    uint32_t value = 0;
    if (TextOf(FindAttribute(group, CTRL_ATTR_MCAST_GRP_NAME)) != kGroup ||
        id.size() != sizeof(value)) {
      continue;
    }
    std::memcpy(&value, id.data(), sizeof(value));
    return value;
  }
}

bool IsPowerButton(Bytes message) {
  const Bytes event = FindAttribute(AttributesOf(message), kEventAttribute);
  return event.size() >= kDeviceClassBytes &&
         TextOf(event.first(kDeviceClassBytes)) == kPowerButtonClass;
}

Result<PowerButton> PowerButton::Open() {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_GENERIC));
  if (!fd) return ErrnoError("power-button", "socket(NETLINK_GENERIC)");
  struct {
    nlmsghdr header{};
    genlmsghdr family{};
    nlattr attribute{};
    char name[NLA_ALIGN(sizeof(kFamily))] = {};
  } request;
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = GENL_ID_CTRL;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.family.cmd = CTRL_CMD_GETFAMILY;
  request.family.version = 1;
  request.attribute.nla_type = CTRL_ATTR_FAMILY_NAME;
  request.attribute.nla_len = NLA_HDRLEN + sizeof(kFamily);
  std::memcpy(request.name, kFamily, sizeof(kFamily));
  if (send(fd.get(), &request, sizeof(request), 0) < 0) return ErrnoError("power-button", kFamily);
  // The kernel has answered before send returned.
  std::byte answer[kAcpiMessageBytes];
  const ssize_t n = ReceiveFromKernel(fd.get(), answer);
  if (n < 0) return ErrnoError("power-button", kFamily);
  const auto group = FindAcpiGroup(Bytes(answer, static_cast<size_t>(n)));
  if (!group) return Fail("power-button", ENOENT, "the kernel tells no ACPI events");
  if (setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &*group, sizeof(*group)) != 0) {
    return ErrnoError("power-button", "NETLINK_ADD_MEMBERSHIP");
  }
  return PowerButton(std::move(fd));
}

bool PowerButton::Pressed() {
  bool pressed = false;
  std::byte message[kAcpiMessageBytes];
  for (;;) {
    const ssize_t n = ReceiveFromKernel(fd_.get(), message);
    if (n < 0 && errno == ENOBUFS) continue;  // some were lost; others wait
    if (n <= 0) return pressed;
    pressed |= IsPowerButton(Bytes(message, static_cast<size_t>(n)));
  }
}

}  // namespace berth::init
