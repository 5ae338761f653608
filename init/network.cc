// SPDX-License-Identifier: Apache-2.0
#include "init/network.h"

#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include "init/console.h"
#include "init/netlink.h"
#include "protocol/base/io.h"

namespace berth::init {
namespace {

constexpr const char* kResolvConf = "/etc/resolv.conf";
constexpr const char* kHosts = "/etc/hosts";

// Which interface, and which of its values.
std::unexpected<Error> About(const InterfaceConfig& interface, const std::string& what,
                             Error error) {
  error.detail = interface.name + ": " + error.detail + (what.empty() ? "" : " " + what);
  return std::unexpected(std::move(error));
}

Result<Route> ToRoute(const InterfaceConfig& interface, const RouteConfig& config) {
  Route route{.to = {}, .via = {}, .metric = config.metric};
  if (!config.via.empty()) route.via = ParsePrefix(config.via);
  const bool is_default = config.to == "default";
  const auto to = is_default ? std::optional(Prefix{}) : ParsePrefix(config.to);
  if (!to || (!config.via.empty() && !route.via)) {
    return Fail("network", EINVAL, interface.name + ": route to " + config.to);
  }
  route.to = *to;
  // Without a gateway only IPv4 can be meant: IPv6 has no link-only default route of use.
  if (is_default) route.to.family = route.via ? route.via->family : AF_INET;
  return route;
}

Result<> SetInterfaceUp(const InterfaceConfig& interface, Netlink& netlink, UeventSocket& uevents) {
  unsigned index = 0;
  const auto here = [&] { return (index = if_nametoindex(interface.name.c_str())) != 0; };
  if (auto appeared = uevents.WaitUntil(here, Deadline::In(interface.wait)); !appeared) {
    return Fail("network", appeared.error().errnum, interface.name + " did not appear",
                "check the VM's network devices, and that the image has their driver in "
                "modules.load (virtio_net)");
  }
  const int link = static_cast<int>(index);
  if (auto up = netlink.SetUp(link, interface.mtu); !up) return About(interface, "", up.error());
  for (const std::string& text : interface.addresses) {
    const auto address = ParsePrefix(text);
    if (!address) return Fail("network", EINVAL, interface.name + ": address " + text);
    auto added = netlink.AddAddress(link, *address);
    if (!added) return About(interface, text, added.error());
  }
  for (const RouteConfig& config : interface.routes) {
    BERTH_ASSIGN(const Route route, ToRoute(interface, config));
    auto added = netlink.AddRoute(link, route);
    if (!added) {
      return About(interface, config.to + (config.via.empty() ? "" : " via " + config.via),
                   added.error());
    }
  }
  return {};
}

// Of an image that cannot be written these stay as they are, and that is said.
void WriteEtc(const char* path, const std::string& text) {
  constexpr unsigned kMode = 0644;
  if (auto written = WriteFileAtomic(path, text, kMode); !written) Warn(written.error());
}

std::string Hostname() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "";
}

}  // namespace

Result<> SetHostname(const std::string& wanted) {
  std::string name = wanted;
  if (name.empty()) {
    constexpr size_t kMaxFileBytes = 1024;
    if (const auto text = ReadFile("/etc/hostname", kMaxFileBytes)) {
      name = text->substr(0, text->find_first_of(" \t\r\n"));
    }
  }
  if (name.empty()) name = "localhost";
  if (sethostname(name.data(), name.size()) != 0) return ErrnoError("hostname", name);
  return {};
}

Result<> BringLoopbackUp() {
  BERTH_ASSIGN(Netlink netlink, Netlink::Open());
  const unsigned index = if_nametoindex("lo");
  if (index == 0) return ErrnoError("network", "lo");
  return netlink.SetUp(static_cast<int>(index), 0);
}

Result<> SetNetworkUp(const NetworkConfig& config, UeventSocket& uevents) {
  if (!config.interfaces.empty()) {
    BERTH_ASSIGN(Netlink netlink, Netlink::Open());
    for (const InterfaceConfig& interface : config.interfaces) {
      auto up = SetInterfaceUp(interface, netlink, uevents);
      if (up) continue;
      if (interface.fatal) return up;
      Warn(up.error());
    }
  }
  if (!config.dns.empty() || !config.search.empty()) WriteEtc(kResolvConf, ResolvConf(config));
  if (!config.hosts.empty()) WriteEtc(kHosts, HostsFile(config, Hostname()));
  return {};
}

std::vector<ServiceConfig> DhcpServices(const NetworkConfig& config) {
  std::vector<ServiceConfig> services;
  for (const InterfaceConfig& interface : config.interfaces) {
    if (interface.dhcp.empty()) continue;
    ServiceConfig service;
    service.name = "dhcp-" + interface.name;
    service.exec = interface.dhcp.front();
    service.args.assign(interface.dhcp.begin() + 1, interface.dhcp.end());
    service.restart.when = RestartWhen::kAlways;
    services.push_back(std::move(service));
  }
  return services;
}

std::string ResolvConf(const NetworkConfig& config) {
  std::string text;
  if (!config.search.empty()) {
    text += "search";
    for (const std::string& domain : config.search) text += " " + domain;
    text += "\n";
  }
  for (const std::string& server : config.dns) text += "nameserver " + server + "\n";
  return text;
}

std::string HostsFile(const NetworkConfig& config, const std::string& hostname) {
  std::string text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";
  // Debian's own address for a host's name, so that a service on it does not listen by accident.
  if (!hostname.empty() && hostname != "localhost") text += "127.0.1.1 " + hostname + "\n";
  for (const auto& [name, address] : config.hosts) text += address + " " + name + "\n";
  return text;
}

}  // namespace berth::init
