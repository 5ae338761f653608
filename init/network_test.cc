// SPDX-License-Identifier: Apache-2.0
#include "init/network.h"

#include <gtest/gtest.h>

namespace berth::init {
namespace {

TEST(ResolvConf, HasSearchAndServersInOrder) {
  NetworkConfig config;
  config.dns = {"10.0.0.1", "fd00::1"};
  config.search = {"example.org", "example.net"};
  EXPECT_EQ(ResolvConf(config),
            "search example.org example.net\nnameserver 10.0.0.1\nnameserver fd00::1\n");
}

TEST(DhcpServices, AreKeptRunningForThoseThatAsk) {
  NetworkConfig config;
  config.interfaces.resize(2);
  config.interfaces[0].name = "eth0";
  config.interfaces[0].dhcp = {"udhcpc", "-f", "-i", "eth0"};
  config.interfaces[1].name = "eth1";
  const auto services = DhcpServices(config);
  ASSERT_EQ(services.size(), 1u);
  EXPECT_EQ(services[0].name, "dhcp-eth0");
  EXPECT_EQ(services[0].exec, "udhcpc");
  EXPECT_EQ(services[0].args, (std::vector<std::string>{"-f", "-i", "eth0"}));
  EXPECT_EQ(services[0].restart.when, RestartWhen::kAlways);
}

TEST(HostsFile, HasLocalhostTheGuestAndWhatWasAsked) {
  NetworkConfig config;
  config.hosts = {{"db", "10.0.0.5"}};
  EXPECT_EQ(HostsFile(config, "web"),
            "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 web\n"
            "10.0.0.5 db\n");
  EXPECT_EQ(HostsFile(config, "localhost").find("127.0.1.1"), std::string::npos);
}

}  // namespace
}  // namespace berth::init
