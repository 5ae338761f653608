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
