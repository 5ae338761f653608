// SPDX-License-Identifier: Apache-2.0
//
// The keys of [network], and what they mean together.
#include <algorithm>

#include "init/config_keys.h"

namespace berth::init {
namespace {

void ReadAddresses(ConfigReader& reader, const ConfigNode& node, std::vector<std::string>& out,
                   Parsed<Family> (*parse)(std::string_view)) {
  const std::span items = node.kind == kArrayNode ? std::span(node.items) : std::span(&node, 1);
  for (const ConfigNode& item : items) {
    if (!reader.Expect(item, kStringNode, "a text")) continue;
    const auto family = parse(item.text);
    if (!family) {
      reader.Wrong(item, family.error());
    } else if (std::ranges::count(out, item.text) != 0) {
      reader.Wrong(item, "named twice");
    } else {
      out.push_back(item.text);
    }
  }
}

void ReadServers(ConfigReader& reader, const ConfigNode& node, std::vector<std::string>& out) {
  ReadAddresses(reader, node, out, ParseAddress);
}

void ReadCidrs(ConfigReader& reader, const ConfigNode& node, std::vector<std::string>& out) {
  ReadAddresses(reader, node, out, ParseCidr);
}

void ReadGateways(ConfigReader& reader, const ConfigNode& node, InterfaceConfig& interface) {
  std::vector<std::string> gateways;
  ReadAddresses(reader, node, gateways, ParseAddress);
  for (std::string& gateway : gateways) {
    interface.routes.push_back({.to = "default", .via = std::move(gateway)});
  }
}

void ReadRouteTo(ConfigReader& reader, const ConfigNode& node, std::string& out) {
  if (node.text != "default") {
    const auto family = ParseCidr(node.text);
    if (!family) return reader.Wrong(node, family.error());
  }
  out = node.text;
}

void ReadRouteVia(ConfigReader& reader, const ConfigNode& node, std::string& out) {
  const auto family = ParseAddress(node.text);
  if (!family) return reader.Wrong(node, family.error());
  out = node.text;
}

void CheckRoute(ConfigReader& reader, const ConfigNode& node, RouteConfig& route) {
  if (route.to == "default") {
    if (route.via.empty() && node.Find("via") == nullptr) {
      reader.Mistake(node, "a default route needs \"via\"");
    }
  } else if (!route.to.empty() && !route.via.empty() &&
             ParseCidr(route.to) != ParseAddress(route.via)) {
    reader.Mistake(node, "\"to\" and \"via\" are of two families");
  }
}

void ReadHosts(ConfigReader& reader, const ConfigNode& node,
               std::vector<std::pair<std::string, std::string>>& out) {
  for (const ConfigNode& item : node.items) {
    const ConfigReader::Path path(reader, item.key);
    std::vector<std::string> addresses;
    if (!IsName(item.key)) {
      reader.Mistake(item.key_place, "not a host name");
    } else if (reader.Expect(item, kListNodes, "an address, or an array of them")) {
      ReadServers(reader, item, addresses);
    }
    for (std::string& address : addresses) out.emplace_back(item.key, std::move(address));
  }
}

void CheckInterface(ConfigReader& reader, const ConfigNode& node, InterfaceConfig& interface) {
  constexpr size_t kMaxInterfaceName = 15;  // IFNAMSIZ, without the null
  if (!IsName(interface.name) || interface.name.size() > kMaxInterfaceName) {
    reader.Mistake(node.key_place, "not a name of an interface: 1 to 15 letters and digits");
  }
}

constexpr ConfigKey kRouteKeys[] = {
    {.name = "to",
     .kinds = kStringNode,
     .type = "a network",
     .fallback = "",
     .meaning = "`10.1.0.0/16`, `fd00::/8`, or `default`",
     .decode = Field<&RouteConfig::to, ReadRouteTo>,
     .required = true},
    {"via", kStringNode, "an address", "(on the link)", "the gateway",
     Field<&RouteConfig::via, ReadRouteVia>},
    {"metric", kIntegerNode, "an integer", "(the kernel's)", "the smaller one wins",
     Field<&RouteConfig::metric, ReadInteger<0, UINT32_MAX, uint32_t>>},
};

constexpr ConfigKey kInterfaceKeys[] = {
    {"address", kListNodes, "an address with its prefix, or an array of them", "[]",
     "`10.0.0.2/24`, `fd00::2/64`", Field<&InterfaceConfig::addresses, ReadCidrs>},
    {"gateway", kListNodes, "an address, or an array of them", "[]",
     "the default route of its family", Whole<InterfaceConfig, ReadGateways>},
    {.name = "routes",
     .kinds = kArrayNode,
     .type = "an array of tables",
     .fallback = "[]",
     .meaning = "more routes",
     .decode = Tables<&InterfaceConfig::routes, CheckRoute>,
     .keys = kRouteKeys},
    {"mtu", kIntegerNode, "an integer", "(the driver's)", "68 to 65535 bytes",
     Field<&InterfaceConfig::mtu, ReadInteger<68, 65535, uint32_t>>},
    {"dhcp", kListNodes, "a list of texts", "",
     "a DHCP client of the image with its arguments, which is kept running",
     Field<&InterfaceConfig::dhcp, ReadArgv>},
    {"wait", kDurationNodes, "a duration", "\"10s\"", "for the interface to appear",
     Field<&InterfaceConfig::wait, ReadDuration<0>>},
    {"fatal", kBooleanNode, "true or false", "false", "a failure ends the machine",
     Field<&InterfaceConfig::fatal, ReadBool>},
};

}  // namespace

constexpr ConfigKey kNetworkKeys[kNetworkKeyCount] = {
    {"dns", kListNodes, "a list of addresses", "[]", "the name servers of `/etc/resolv.conf`",
     Field<&NetworkConfig::dns, ReadServers>},
    {"search", kListNodes, "a list of names", "[]", "the domains that it searches",
     Field<&NetworkConfig::search, ReadNames>},
    {.name = "hosts",
     .kinds = kTableNode,
     .type = "a table",
     .fallback = "{}",
     .meaning = "its address, or an array of them, for `/etc/hosts`",
     .decode = Field<&NetworkConfig::hosts, ReadHosts>,
     .each = "NAME",
     .each_kinds = kListNodes},
    {.name = "interface",
     .kinds = kTableNode,
     .type = "a table",
     .fallback = "{}",
     .meaning = "an interface that is set up; a name with a dot goes in quotes",
     .decode = Named<&NetworkConfig::interfaces, CheckInterface>,
     .keys = kInterfaceKeys,
     .each = "NAME"},
};
static_assert(!kNetworkKeys[kNetworkKeyCount - 1].name.empty());

}  // namespace berth::init
