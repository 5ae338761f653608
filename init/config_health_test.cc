// SPDX-License-Identifier: Apache-2.0
//
// [health.NAME] and [time]: what becomes of them, and of mistakes in them; and the file in which
// the agent finds them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "init/apply.h"
#include "init/config_decode.h"
#include "init/service_configure.h"
#include "protocol/base/io.h"

namespace berth::init {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr const char* kAll = R"(
[health.disk]
exec = ["/bin/sh", "-c", "test -w /"]
interval = "1500ms"
timeout = 2
start_period = "1m"
unhealthy_after = 5
healthy_after = 2
[health.ssh]
tcp = 22
[health.web]
http = "http://127.0.0.1:8080/healthz"
socket = "/run/web.sock"
status = 204
body = "ok"
[health.up]
file = "/run/up"
[time]
sync = false
)";

TEST(ConfigHealth, EveryKeyOfEveryKindIsDecoded) {
  const DecodedConfig decoded = DecodeConfigText("f", kAll);
  EXPECT_THAT(decoded.mistakes, IsEmpty());
  EXPECT_FALSE(decoded.config.time.sync);
  ASSERT_THAT(decoded.config.checks, SizeIs(4));
  const auto find = [&](std::string_view name) {
    return *std::ranges::find(decoded.config.checks, name, &HealthCheck::name);
  };
  const HealthCheck disk = find("disk");
  EXPECT_EQ(disk.kind, HealthKind::kExec);
  EXPECT_THAT(disk.exec, ElementsAre("/bin/sh", "-c", "test -w /"));
  EXPECT_EQ(disk.interval_ms, 1500);
  EXPECT_EQ(disk.timeout_ms, 2000);
  EXPECT_EQ(disk.start_period_ms, 60'000);
  EXPECT_EQ(disk.unhealthy_after, 5);
  EXPECT_EQ(disk.healthy_after, 2);
  EXPECT_EQ(find("ssh").kind, HealthKind::kTcp);
  EXPECT_EQ(find("ssh").target, "22");
  EXPECT_EQ(find("web").kind, HealthKind::kHttp);
  EXPECT_EQ(find("web").status_min, 204);
  EXPECT_EQ(find("web").status_max, 204);
  EXPECT_EQ(find("web").body, "ok");
  EXPECT_EQ(find("web").socket, "/run/web.sock");
  EXPECT_EQ(find("up").kind, HealthKind::kFile);
}

TEST(ConfigHealth, MistakesAreNamedWithTheirPlaceAndLeaveTheCheckOut) {
  const auto mistake = [](const std::string& body) {
    const DecodedConfig decoded = DecodeConfigText("f", "[health.x]\n" + body);
    EXPECT_THAT(decoded.config.checks, IsEmpty()) << body;
    EXPECT_THAT(decoded.mistakes, SizeIs(1)) << body;
    return decoded.mistakes.empty() ? "" : decoded.mistakes[0];
  };
  EXPECT_THAT(mistake("interval = 1\n"), HasSubstr("needs one of"));
  EXPECT_THAT(mistake("tcp = 80\nfile = '/x'\n"), HasSubstr("needs one of"));
  EXPECT_THAT(mistake("http = 'http://web/'\n"), HasSubstr("IP address"));
  EXPECT_THAT(mistake("http = 'web'\n"), HasSubstr("f:2:"));
  EXPECT_THAT(mistake("tcp = 80\nstatus = 200\n"), HasSubstr("only \"http\" has one"));
  EXPECT_THAT(mistake("http = 'http://127.0.0.1/'\nstatus = '2xx'\n"), HasSubstr("not a status"));
  EXPECT_THAT(mistake("tcp = 80\ninterval = '1ms'\n"), HasSubstr("interval"));
  EXPECT_THAT(mistake("tcp = 80\nintervall = '1s'\n"), HasSubstr("interval"));
  EXPECT_THAT(mistake("exec = ['bin/x']\n"), HasSubstr("neither an absolute path"));
  const DecodedConfig named = DecodeConfigText("f", "[health.agent]\ntcp = 80\n");
  EXPECT_THAT(named.mistakes, ElementsAre(HasSubstr("not a name of a check")));
  std::string many;
  for (size_t i = 0; i <= kMaxHealthChecks; ++i) {
    many += "[health.c" + std::to_string(i) + "]\ntcp = 80\n";
  }
  EXPECT_THAT(DecodeConfigText("f", many).mistakes, ElementsAre(HasSubstr("more than 64 checks")));
}

TEST(ConfigHealth, TheAgentReadsWhatPid1Wrote) {
  const std::string path = testing::TempDir() + "berth-agent-settings-" + std::to_string(getpid());
  DecodedConfig decoded = DecodeConfigText("f", kAll);
  WriteAgentSettings(decoded.config, path.c_str());
  const auto bytes = ReadFile(path.c_str(), kMaxAgentSettingsBytes);
  ASSERT_TRUE(bytes);
  const auto settings = DecodeAgentSettings(*bytes);
  ASSERT_TRUE(settings) << settings.error().Message();
  EXPECT_FALSE(settings->host_sets_clock);
  EXPECT_EQ(settings->checks, decoded.config.checks);
  std::filesystem::remove(path);
}

TEST(ConfigHealth, TheHostsConfigurationMayChangeThem) {
  Config config = DecodeConfigText("f", "[health.a]\ntcp = 1\n").config;
  Config fresh = DecodeConfigText("f", kAll).config;
  ASSERT_TRUE(CheckConfigured(config, fresh));
  const auto checks = fresh.checks;
  TakeConfigured(config, std::move(fresh));
  EXPECT_EQ(config.checks, checks);
  EXPECT_FALSE(config.time.sync);
}

}  // namespace
}  // namespace berth::init
