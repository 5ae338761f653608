// SPDX-License-Identifier: Apache-2.0
//
// Netlink against a real kernel, in a network namespace of the test's own; where the machine allows
// none, those tests say so and are skipped. Needs root.
#include "init/netlink.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <fstream>
#include <sstream>

namespace berth::init {
namespace {

TEST(ParsePrefix, TakesBothFamilies) {
  const auto v4 = ParsePrefix("10.0.0.2/24");
  ASSERT_TRUE(v4);
  EXPECT_EQ(v4->family, AF_INET);
  EXPECT_EQ(v4->address[0], 10);
  EXPECT_EQ(v4->address[3], 2);
  EXPECT_EQ(v4->bits, 24);
  const auto v6 = ParsePrefix("fd00::2/64");
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->family, AF_INET6);
  EXPECT_EQ(v6->address[15], 2);
  EXPECT_EQ(v6->bits, 64);
  EXPECT_EQ(ParsePrefix("10.0.0.2")->bits, 32);
  EXPECT_EQ(ParsePrefix("::")->bits, 128);
}

TEST(ParsePrefix, RefusesWhatIsNone) {
  for (const char* bad : {"", "/", "10.0.0.2/33", "fd00::2/129", "10.0.0/8", "10.0.0.2/", "x",
                          "10.0.0.2/2 4", "10.0.0.2/-1", "fe80::1%eth0/64"}) {
    EXPECT_FALSE(ParsePrefix(bad)) << bad;
  }
}

class NetlinkTest : public testing::Test {
 protected:
  void SetUp() override {
    if (unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "no network namespace here";
    lo_ = static_cast<int>(if_nametoindex("lo"));
    auto opened = Netlink::Open();
    ASSERT_TRUE(opened) << opened.error().Message();
    netlink_.emplace(std::move(*opened));
  }
  static std::string Read(const char* path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  static std::string Addresses() {
    std::string text;
    ifaddrs* all = nullptr;
    EXPECT_EQ(getifaddrs(&all), 0);
    for (const ifaddrs* each = all; each != nullptr; each = each->ifa_next) {
      char name[INET6_ADDRSTRLEN] = {};
      if (each->ifa_addr == nullptr) continue;
      if (each->ifa_addr->sa_family == AF_INET) {
        inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(each->ifa_addr)->sin_addr, name,
                  sizeof(name));
      } else if (each->ifa_addr->sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(each->ifa_addr)->sin6_addr, name,
                  sizeof(name));
      }
      text += name + std::string(" ");
    }
    freeifaddrs(all);
    return text;
  }

  int lo_ = 0;
  std::optional<Netlink> netlink_;
};

TEST_F(NetlinkTest, SetsALinkUpWithItsMtu) {
  const auto up = netlink_->SetUp(lo_, 1400);
  ASSERT_TRUE(up) << up.error().Message();
  ifreq request{};
  request.ifr_name[0] = 'l';
  request.ifr_name[1] = 'o';
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(ioctl(fd.get(), SIOCGIFFLAGS, &request), 0);
  EXPECT_NE(request.ifr_flags & IFF_UP, 0);
  ASSERT_EQ(ioctl(fd.get(), SIOCGIFMTU, &request), 0);
  EXPECT_EQ(request.ifr_mtu, 1400);
}

TEST_F(NetlinkTest, AddsAddressesOfBothFamiliesOnceEach) {
  ASSERT_TRUE(netlink_->SetUp(lo_, 0));
  for (const char* text : {"10.9.8.7/24", "fd00::7/64", "10.9.8.7/24"}) {
    const auto added = netlink_->AddAddress(lo_, *ParsePrefix(text));
    EXPECT_TRUE(added) << text << ": " << added.error().Message();
  }
  EXPECT_NE(Addresses().find("10.9.8.7"), std::string::npos) << Addresses();
  EXPECT_NE(Addresses().find("fd00::7"), std::string::npos) << Addresses();
}

TEST_F(NetlinkTest, AddsRoutes) {
  ASSERT_TRUE(netlink_->SetUp(lo_, 0));
  ASSERT_TRUE(netlink_->AddAddress(lo_, *ParsePrefix("10.9.8.7/24")));
  Route route{.to = *ParsePrefix("10.7.0.0/16"), .via = ParsePrefix("10.9.8.1"), .metric = 50};
  auto added = netlink_->AddRoute(lo_, route);
  ASSERT_TRUE(added) << added.error().Message();
  route = {.to = {.family = AF_INET, .address = {}, .bits = 0}, .via = ParsePrefix("10.9.8.2")};
  added = netlink_->AddRoute(lo_, route);
  ASSERT_TRUE(added) << added.error().Message();
  // /proc has the thread's namespace under thread-self only.
  const std::string routes = Read("/proc/thread-self/net/route");
  EXPECT_NE(routes.find("lo\t0000070A\t0108090A\t0003\t0\t0\t50\t0000FFFF"), std::string::npos)
      << routes;
  EXPECT_NE(routes.find("lo\t00000000\t0208090A"), std::string::npos) << routes;
}

TEST(ReceiveFromKernel, DropsWhatAProcessSent) {
  const UniqueFd receiver(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(receiver.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(getsockname(receiver.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  const UniqueFd sender(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  const char forged[] = "forged";
  if (sendto(sender.get(), forged, sizeof(forged), 0, reinterpret_cast<sockaddr*>(&address), size) <
      0) {
    GTEST_SKIP() << "no right to send to another process";
  }
  std::byte bytes[64];
  EXPECT_EQ(ReceiveFromKernel(receiver.get(), bytes), -1);
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(NetlinkTest, SaysWhatTheKernelRefused) {
  ASSERT_TRUE(netlink_->SetUp(lo_, 0));
  const auto added =
      netlink_->AddRoute(lo_, {.to = *ParsePrefix("10.7.0.0/16"), .via = ParsePrefix("192.0.2.1")});
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().errnum, ENETUNREACH);
  const auto up = netlink_->SetUp(4711, 0);
  ASSERT_FALSE(up);
  EXPECT_EQ(up.error().errnum, ENODEV);
}

}  // namespace
}  // namespace berth::init
