// SPDX-License-Identifier: Apache-2.0
#include "init/config_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>

namespace berth::init {
namespace {

using testing::HasSubstr;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""h;

TEST(ConfigValues, Durations) {
  EXPECT_EQ(ParseDuration("500ms"), 500ms);
  EXPECT_EQ(ParseDuration("10s"), 10s);
  EXPECT_EQ(ParseDuration("2m"), 2min);
  EXPECT_EQ(ParseDuration("1h"), 1h);
  EXPECT_EQ(ParseDuration("7"), 7s);
  EXPECT_EQ(ParseDuration("0s"), 0s);
  for (const char* text : {"", "s", "-1s", "1.5s", "1 s", "10x", "1s ", " 1s", "1h30m",
                           "99999999999999999999s", "9999999999999h"}) {
    EXPECT_FALSE(ParseDuration(text)) << text;
  }
}

TEST(ConfigValues, Sizes) {
  EXPECT_EQ(ParseSize("4096"), 4096U);
  EXPECT_EQ(ParseSize("64K"), 64U << 10);
  EXPECT_EQ(ParseSize("64M"), 64U << 20);
  EXPECT_EQ(ParseSize("64MiB"), 64U << 20);
  EXPECT_EQ(ParseSize("1G"), 1U << 30);
  EXPECT_EQ(ParseSize("2T"), uint64_t{2} << 40);
  for (const char* text : {"", "M", "-1", "1.5G", "64Q", "64 M", "99999999T", "iB"}) {
    EXPECT_FALSE(ParseSize(text)) << text;
  }
}

TEST(ConfigValues, Signals) {
  EXPECT_EQ(ParseSignal("SIGTERM"), SIGTERM);
  EXPECT_EQ(ParseSignal("TERM"), SIGTERM);
  EXPECT_EQ(ParseSignal("sigusr1"), SIGUSR1);
  EXPECT_EQ(ParseSignal("15"), 15);
  EXPECT_EQ(ParseSignal("64"), 64);
  for (const char* text : {"", "0", "65", "SIG", "SIGFOO", "-9"}) {
    EXPECT_FALSE(ParseSignal(text)) << text;
  }
  EXPECT_THAT(ParseSignal("SIGTREM").error(), HasSubstr("did you mean \"SIGTERM\"?"));
}

TEST(ConfigValues, Modes) {
  EXPECT_EQ(ParseMode("0644"), 0644U);
  EXPECT_EQ(ParseMode("4755"), 04755U);
  for (const char* text : {"", "0888", "rwx", "77777", "-1"}) EXPECT_FALSE(ParseMode(text)) << text;
}

TEST(ConfigValues, Capabilities) {
  EXPECT_EQ(ParseCapability("CAP_CHOWN"), 0);
  EXPECT_EQ(ParseCapability("CAP_NET_BIND_SERVICE"), 10);
  EXPECT_EQ(ParseCapability("net_bind_service"), 10);
  EXPECT_EQ(ParseCapability("CAP_CHECKPOINT_RESTORE"), 40);
  EXPECT_THAT(ParseCapability("CAP_NET_BIND_SERVCE").error(),
              HasSubstr("did you mean \"CAP_NET_BIND_SERVICE\"?"));
  EXPECT_FALSE(ParseCapability(""));
}

TEST(ConfigValues, Rlimits) {
  EXPECT_EQ(ParseRlimitName("nofile"), RLIMIT_NOFILE);
  EXPECT_THAT(ParseRlimitName("nofiles").error(), HasSubstr("did you mean \"nofile\"?"));
  EXPECT_EQ(ParseRlimit("1024")->rlim_max, 1024U);
  EXPECT_EQ(ParseRlimit("1024:4096")->rlim_cur, 1024U);
  EXPECT_EQ(ParseRlimit("1024:4096")->rlim_max, 4096U);
  EXPECT_EQ(ParseRlimit("64M:unlimited")->rlim_max, RLIM_INFINITY);
  EXPECT_EQ(ParseRlimit("unlimited")->rlim_cur, RLIM_INFINITY);
  for (const char* text : {"", ":", "1:", "4096:1024", "unlimited:1", "x", "1:2:3"}) {
    EXPECT_FALSE(ParseRlimit(text)) << text;
  }
}

TEST(ConfigValues, AddressesAndNetworks) {
  EXPECT_EQ(ParseAddress("10.0.0.1"), Family::kInet);
  EXPECT_EQ(ParseAddress("fd00::1"), Family::kInet6);
  EXPECT_EQ(ParseCidr("10.0.0.2/24"), Family::kInet);
  EXPECT_EQ(ParseCidr("fd00::2/128"), Family::kInet6);
  for (const char* text : {"", "10.0.0", "10.0.0.256", "fd00:::1", "web", "10.0.0.1/24"}) {
    EXPECT_FALSE(ParseAddress(text)) << text;
  }
  EXPECT_FALSE(ParseAddress(std::string_view("10.0.0.1\0x", 10)));
  for (const char* text : {"", "/24", "10.0.0.2/33", "fd00::2/129", "10.0.0.2/", "10.0.0.2/-1"}) {
    EXPECT_FALSE(ParseCidr(text)) << text;
  }
  EXPECT_THAT(ParseCidr("10.0.0.2").error(), HasSubstr("say \"10.0.0.2/24\""));
}

TEST(ConfigValues, Sockets) {
  for (const char* text : {"tcp:0.0.0.0:80", "tcp:[::]:80", "udp:127.0.0.1:53", "vsock:5000"}) {
    EXPECT_EQ(ParseListen(text), false) << text;
  }
  EXPECT_EQ(ParseListen("unix:/run/x.sock"), true);
  for (const char* text :
       {"", "tcp", "tcp:", "tcp:80", "tcp:0.0.0.0:0", "tcp:0.0.0.0:65536", "tcp:::80", "tcp:[::]",
        "tcp:[0.0.0.0]:80", "unix:run/x", "unix:", "vsock:x", "vsock:4294967295", "http:1"}) {
    EXPECT_FALSE(ParseListen(text)) << text;
  }
  EXPECT_FALSE(ParseListen("vsock:1023")) << "the agent's";
  EXPECT_FALSE(ParseListen("unix:/" + std::string(107, 'x')));
}

TEST(ConfigValues, PathsAreAbsoluteAndClimbNowhere) {
  EXPECT_EQ(ParsePath("/a/b..c"), "/a/b..c");
  for (const char* text : {"", "a", "./a", "/a/../b", "/..", "/a/.."}) {
    EXPECT_FALSE(ParsePath(text)) << text;
  }
}

TEST(ConfigValues, MountFlags) {
  ASSERT_NE(FindMountFlag("ro"), nullptr);
  EXPECT_EQ(FindMountFlag("ro")->set, static_cast<unsigned long>(MS_RDONLY));
  EXPECT_EQ(FindMountFlag("rw")->clear, static_cast<unsigned long>(MS_RDONLY));
  EXPECT_EQ(FindMountFlag("size=64M"), nullptr);
}

TEST(ConfigValues, NearestWord) {
  constexpr std::string_view kWords[] = {"restart", "ready", "requires", "env", "uid"};
  EXPECT_EQ(Nearest("restrat", kWords), "restart");
  EXPECT_EQ(Nearest("require", kWords), "requires");
  EXPECT_EQ(Nearest("evn", kWords), "env");
  EXPECT_EQ(Nearest("requ", kWords), "requires");
  EXPECT_EQ(Nearest("zzz", kWords), "");
  EXPECT_EQ(Nearest("", kWords), "");
  EXPECT_EQ(Nearest(std::string(100'000, 'r'), kWords), "");
}

TEST(ConfigValues, QuotedIsShortAndPrintable) {
  EXPECT_EQ(Quoted("a\nb\x1b"), "\"a?b?\"");
  EXPECT_EQ(Quoted(std::string(100, 'x')), "\"" + std::string(60, 'x') + "…\"");
  // Cut between characters: each ä has two bytes.
  std::string umlauts;
  for (int i = 0; i < 40; ++i) umlauts += "ä";
  EXPECT_EQ(Quoted("x" + umlauts).size(), 1 + 1 + 58 + 4U);
}

}  // namespace
}  // namespace berth::init
