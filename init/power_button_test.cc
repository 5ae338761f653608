// SPDX-License-Identifier: Apache-2.0
#include "init/power_button.h"

#include <gtest/gtest.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>

#include <cstring>
#include <string>

namespace berth::init {
namespace {

std::string Attribute(uint16_t type, const std::string& value) {
  nlattr header{};
  header.nla_type = type;
  header.nla_len = static_cast<uint16_t>(NLA_HDRLEN + value.size());
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  bytes += value;
  bytes.resize(NLA_ALIGN(bytes.size()));
  return bytes;
}

std::string Message(const std::string& attributes) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<uint32_t>(NLMSG_HDRLEN + GENL_HDRLEN + attributes.size());
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  bytes += std::string(GENL_HDRLEN, '\0');
  return bytes + attributes;
}

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string Event(const std::string& device_class) {
  std::string event = device_class;
  event.resize(44, '\0');  // struct acpi_genl_event
  return Message(Attribute(1, event));
}

TEST(PowerButton, IsToldFromOtherEvents) {
  EXPECT_TRUE(IsPowerButton(Bytes(Event("button/power"))));
  EXPECT_FALSE(IsPowerButton(Bytes(Event("button/sleep"))));
  EXPECT_FALSE(IsPowerButton(Bytes(Event("processor"))));
  EXPECT_FALSE(IsPowerButton(Bytes(Message(Attribute(2, std::string(44, '\0'))))));
}

TEST(PowerButton, CutMessagesAreNone) {
  const std::string whole = Event("button/power");
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_FALSE(IsPowerButton(Bytes(whole.substr(0, length)))) << length;
  }
}

TEST(PowerButton, FindsItsGroupAmongOthers) {
  const uint32_t id = 7;
  const std::string number(reinterpret_cast<const char*>(&id), sizeof(id));
  const auto group = [&](const std::string& name) {
    return Attribute(CTRL_ATTR_MCAST_GRP_NAME, name + '\0') +
           Attribute(CTRL_ATTR_MCAST_GRP_ID, number);
  };
  const std::string groups = Attribute(1, group("another")) + Attribute(2, group("acpi_mc_group"));
  EXPECT_EQ(FindAcpiGroup(Bytes(Message(Attribute(CTRL_ATTR_MCAST_GROUPS, groups)))), 7u);
  EXPECT_FALSE(FindAcpiGroup(
      Bytes(Message(Attribute(CTRL_ATTR_MCAST_GROUPS, Attribute(1, group("another")))))));
  EXPECT_FALSE(FindAcpiGroup({}));
}

}  // namespace
}  // namespace berth::init
