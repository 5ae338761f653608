// SPDX-License-Identifier: Apache-2.0
//
// Where a guest's configuration comes from, and how the host sees its services: init.toml, kernel
// command line and the host's part; `berth service`; `berth boot`. The machines are
// tests/e2e/images/{configure,services}/init.toml.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/e2e/host.h"

namespace berth::e2e {
namespace {

using nlohmann::json;

Outcome InGuest(Host& host, const std::string& script) {
  return host.Berth({"exec", "--timeout", "30s", "vm", "--", "sh", "-c", script});
}

std::string GuestConfig(Host& host, const std::string& text) {
  const std::string path = host.dir() + "/guest.toml";
  std::ofstream(path) << text;
  return path;
}

json JsonOf(const Outcome& outcome) {
  json parsed = json::parse(outcome.out, nullptr, false);
  EXPECT_FALSE(parsed.is_discarded()) << outcome;
  return parsed;
}

TEST(Configure, TheHostWinsOverTheCommandLineAndThatOverTheFile) {
  Host host;
  const std::string config = GuestConfig(host,
                                         "[environment]\nSOURCE = \"host\"\n"
                                         "[sysctl]\n\"vm.swappiness\" = 33\n"
                                         "[[file]]\npath = \"/etc/made/by\"\n"
                                         "content = \"the host\\n\"\n");
  host.Up("vm", "configure",
          {"--guest-config", config, "--append",
           "berth.hostname=from-cmdline berth.sysctl.vm.swappiness=22 "
           "berth.sysctl.vm.overcommit_ratio=42"});
  const Outcome late =
      InGuest(host, "until [ -s /run/late ]; do usleep 20000; done; cat /run/late");
  EXPECT_EQ(late.out, "host from-cmdline the host\n") << late;
  EXPECT_EQ(InGuest(host, "cat /proc/sys/vm/swappiness /proc/sys/vm/overcommit_ratio").out,
            "33\n42\n");
}

TEST(Configure, WithNothingFromTheHostTheFileHolds) {
  Host host;
  host.Up("vm", "configure");
  // Well before configure_timeout, for the host said that it has nothing.
  const Outcome late =
      InGuest(host, "until [ -s /run/late ]; do usleep 20000; done; cat /run/late");
  EXPECT_EQ(late.out, "file from-file the file\n") << late;

  EXPECT_EQ(InGuest(host, "cat /tmp/early; stat -c '%u %a' /etc/made/by").out, "app\n4711 640\n");
  const Outcome network = InGuest(host,
                                  "ip addr show dev lo; ip route; ip -6 addr show dev lo; "
                                  "cat /etc/resolv.conf /etc/hosts");
  for (const char* wanted : {"mtu 1400", "192.0.2.1/24", "fd00::1/64", "default via 192.0.2.254",
                             "198.51.100.0/24 via 192.0.2.9 dev lo  metric 7", "search example.org",
                             "nameserver 192.0.2.53", "192.0.2.5 db", "127.0.1.1 from-file"}) {
    EXPECT_TRUE(network.out.contains(wanted)) << wanted << " in " << network;
  }
}

TEST(Configure, MistakesOfTheHostsPartAreToldToTheHost) {
  Host host;
  host.Up("vm", "configure", {"--guest-config", GuestConfig(host, "hostnam = \"x\"\n")});
  auto events = host.StartBerth({"events", "-f"});
  EXPECT_TRUE(events->WaitForOutput("no such key", Deadline::In(30s))) << events->so_far();
  EXPECT_TRUE(events->so_far().out.contains("hostname")) << events->so_far();
}

TEST(ServicesFromTheHost, AreListedStoppedStartedAndRestarted) {
  Host host;
  host.Up("vm", "services");
  const Outcome started = host.Berth({"service", "vm", "start", "web"});
  EXPECT_EQ(started.code, 0) << started;
  const Outcome table = host.Berth({"service", "vm", "ls"});
  EXPECT_TRUE(table.out.contains("web") && table.out.contains("ready")) << table;
  const auto pid = [&] {
    const json answer = JsonOf(host.Berth({"service", "vm", "status", "web", "--json"}));
    return answer["services"][0].value("pid", 0);
  };
  const int first = pid();
  EXPECT_GT(first, 1);
  EXPECT_EQ(host.Berth({"service", "vm", "restart", "web"}).code, 0);
  EXPECT_NE(pid(), first);
  EXPECT_EQ(host.Berth({"service", "vm", "stop", "web"}).code, 0);
  EXPECT_EQ(pid(), 0);
  const Outcome none = host.Berth({"service", "vm", "start", "wob"});
  EXPECT_NE(none.code, 0);
  EXPECT_TRUE(none.err.contains("no service \"wob\"")) << none;
}

TEST(BootReport, HasPhasesBlameAndTheCriticalChain) {
  Host host;
  host.Up("vm", "services");
  ASSERT_EQ(host.Berth({"service", "vm", "start", "web"}).code, 0);
  const Outcome text = host.Berth({"boot", "vm"});
  const json report = JsonOf(host.Berth({"boot", "vm", "--json"}));
  EXPECT_TRUE(report.contains("phases")) << report.dump(1);
  ASSERT_TRUE(report.contains("services") && !report["services"].empty()) << text << report.dump(1);
  double last = 1e9;
  for (const json& service : report["services"]) {
    EXPECT_LE(service.value("took_ms", 0.0), last);
    last = service.value("took_ms", 0.0);
    EXPECT_GT(service.value("at_ms", 0.0), 0.0);
  }
  ASSERT_FALSE(report["critical_chain"].empty()) << report.dump(1);
  EXPECT_TRUE(text.out.contains("web")) << text;
}

}  // namespace
}  // namespace berth::e2e
