// SPDX-License-Identifier: Apache-2.0
//
// What a guest's kernel kills for want of memory is in berth events.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "tests/e2e/host.h"

namespace berth::e2e {
namespace {

class OomKills : public testing::Test {
 protected:
  void Put() {
    std::ifstream file(GuestBinDir() + "/e2e-eat", std::ios::binary);
    const std::string program{std::istreambuf_iterator<char>(file), {}};
    const Outcome put =
        host_.Berth({"exec", "-i", "vm", "--", "sh", "-c", "cat >/tmp/eat && chmod +x /tmp/eat"},
                    {.stdin_data = program});
    ASSERT_EQ(put.code, 0) << put;
  }
  // The first `count` events of the kind guest that speak of memory.
  std::vector<std::string> Told(size_t count) {
    std::vector<std::string> told;
    const auto deadline = Deadline::In(60s);
    while (told.size() < count && !deadline.Passed()) {
      told.clear();
      const Outcome events = host_.Berth({"events", "--json", "vm"});
      size_t begin = 0;
      for (size_t end; (end = events.out.find('\n', begin)) != std::string::npos; begin = end + 1) {
        const auto event =
            nlohmann::json::parse(events.out.substr(begin, end - begin), nullptr, false);
        if (!event.is_object() || event.value("kind", "") != "guest") continue;
        const std::string why = event.value("why", "");
        if (why.starts_with("out of memory")) told.push_back(why);
      }
    }
    EXPECT_EQ(told.size(), count);
    return told;
  }

  Host host_;
};

TEST_F(OomKills, OfTheMachinesMemoryAndOfAServicesLimit) {
  // More than the service's limit, also beside a sanitizer's own.
  host_.Up("vm", "services", {"--memory", GuestIsSanitized() ? "384" : "160"});
  Put();
  // Into the cgroup of a service that has a limit.
  const Outcome limited =
      host_.Berth({"exec", "vm", "--", "sh", "-c",
                   "cd /sys/fs/cgroup/berth; until [ -d web ]; do usleep 10000; done; "
                   "echo $$ >web/cgroup.procs && exec /tmp/eat"});
  EXPECT_EQ(limited.code, 128 + 9) << limited;
  EXPECT_TRUE(limited.err.contains("meanwhile vm was out of memory: its kernel killed eat (pid "))
      << limited;
  auto told = Told(1);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_NE(told[0].find("killed eat (pid "), std::string::npos) << told[0];
  EXPECT_NE(told[0].find("in /berth/web, service web"), std::string::npos) << told[0];
  EXPECT_NE(told[0].find("memory limit"), std::string::npos) << told[0];

  const Outcome all = host_.Berth({"exec", "vm", "--", "/tmp/eat"});
  EXPECT_EQ(all.code, 128 + 9) << all;
  EXPECT_TRUE(all.err.contains("the machine's memory is used up")) << all;
  told = Told(2);
  ASSERT_EQ(told.size(), 2U);
  EXPECT_NE(told[1].find("killed eat (pid "), std::string::npos) << told[1];
  EXPECT_NE(told[1].find("the machine's memory"), std::string::npos) << told[1];

  // berthd that follows anew is not told again.
  EXPECT_EQ(host_.State("vm"), "Running");
  EXPECT_EQ(Told(2).size(), 2U);
}

}  // namespace
}  // namespace berth::e2e
