// SPDX-License-Identifier: Apache-2.0
//
// Health checks of every kind, run by the real agent: what they come to, that none delays another,
// that what they start is gone with them, and that the host is rung for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "protocol/base/io.h"
#include "protocol/wire/limits.h"
#include "supervisor/guest/tend.h"
#include "tests/agent/agent_rig.h"
#include "tests/agent/http_stub.h"
#include "tests/agent/raw_client.h"
#include "tests/agent/scripted_pid1.h"

namespace berth::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using Row = v1::HealthReply::Check;

std::string HelloOf(uint32_t generation) { return RawClient::Hello(generation); }

HealthCheck Check(std::string name, HealthKind kind, std::string target) {
  HealthCheck check;
  check.name = std::move(name);
  check.kind = kind;
  check.target = std::move(target);
  check.interval_ms = 20;
  check.timeout_ms = 20'000;
  check.unhealthy_after = 1;
  return check;
}

HealthCheck Exec(std::string name, std::string script) {
  HealthCheck check = Check(std::move(name), HealthKind::kExec, "");
  check.exec = {"/bin/sh", "-c", std::move(script)};
  return check;
}

class HealthTest : public ::testing::Test {
 protected:
  HealthTest() { rig_.SendControl({.kind = ControlKind::kBootPhasesEnd, .agent_starts = 1}); }

  v1::Envelope Call(const std::function<void(v1::Envelope&)>& fill) {
    RawClient client(rig_.Connect());
    v1::Envelope request;
    fill(request);
    client.SendBytes(HelloOf(3));
    client.Send(request);
    v1::Envelope answer = client.ReadMessage();
    return answer.has_hello() ? client.ReadMessage() : answer;
  }
  void Configure(const std::vector<HealthCheck>& checks) {
    const auto answer = Call([&](v1::Envelope& request) {
      *request.mutable_health_configure() = guest::ToHealthConfigure(checks);
    });
    EXPECT_TRUE(answer.has_health_configured()) << answer.failure().detail();
  }
  v1::HealthReply Look() {
    const auto answer = Call([](v1::Envelope& request) { request.mutable_health_call(); });
    EXPECT_TRUE(answer.has_health_reply());
    EXPECT_TRUE(guest::CheckHealthReply(answer.health_reply()));
    return answer.health_reply();
  }
  std::optional<Row> Find(const std::string& name) {
    for (const Row& row : Look().checks()) {
      if (row.name() == name) return row;
    }
    return std::nullopt;
  }
  // Looks until the check is of that state.
  Row Gets(const std::string& name, Row::State state) {
    Row row;
    EXPECT_TRUE(Eventually([&] {
      const auto found = Find(name);
      if (found) row = *found;
      return found && found->state() == state;
    })) << name
        << ": " << row.result();
    return row;
  }

  TempDir dir_;
  AgentRig rig_;
};

TEST_F(HealthTest, AnExecCheckIsHealthyByItsExitCodeAndItsOutputIsKept) {
  Configure({Exec("good", "echo fine"),
             Exec("bad", "head -c 100000 /dev/zero | tr '\\0' x; echo; echo why; exit 3")});
  const Row good = Gets("good", Row::HEALTHY);
  EXPECT_EQ(good.result(), "exit code 0");
  EXPECT_EQ(good.output(), "fine\n");
  EXPECT_EQ(good.source(), Row::HOST);
  EXPECT_GT(good.since_us(), 0U);
  EXPECT_GT(good.next_us(), good.last_us());
  const Row bad = Gets("bad", Row::UNHEALTHY);
  EXPECT_EQ(bad.result(), "exit code 3");
  EXPECT_EQ(bad.output().size(), wire::kMaxHealthOutputBytes);
  EXPECT_TRUE(bad.output().ends_with("x\nwhy\n"));
  EXPECT_EQ(bad.failures(), bad.runs());
}

TEST_F(HealthTest, AHangingCheckIsKilledWithItsChildrenAndDelaysNoOther) {
  const std::string pids = dir_ / "pids";
  HealthCheck hangs = Exec("hangs", "sleep 1000 & echo $! $$ >" + pids + "; wait");
  hangs.timeout_ms = 1000;
  hangs.interval_ms = 3'600'000;
  Configure({hangs, Exec("quick", "true")});
  const Row row = Gets("hangs", Row::UNHEALTHY);
  EXPECT_EQ(row.result(), "timed out after 1000 ms; killed");
  // In the second that the other hung it went on.
  EXPECT_GT(Find("quick")->runs(), 5U);
  std::ifstream file(pids);
  uint32_t child = 0;
  uint32_t shell = 0;
  file >> child >> shell;
  ASSERT_GT(child, 1U);
  EXPECT_TRUE(Eventually([&] {
    return ProcessState(shell) == 0 && (ProcessState(child) == 0 || ProcessState(child) == 'Z');
  }));
}

TEST_F(HealthTest, WhatACheckLeavesRunningInItsSessionEndsWithIt) {
  const std::string pid_file = dir_ / "pid";
  HealthCheck leaves = Exec("leaves", "sleep 1000 & echo $! >" + pid_file);
  leaves.interval_ms = 3'600'000;
  Configure({leaves});
  EXPECT_EQ(Gets("leaves", Row::HEALTHY).result(), "exit code 0")
      << "who holds its output open does not hold it";
  std::ifstream file(pid_file);
  uint32_t pid = 0;
  file >> pid;
  ASSERT_GT(pid, 1U);
  EXPECT_TRUE(Eventually([&] { return ProcessState(pid) == 0 || ProcessState(pid) == 'Z'; }));
}

TEST_F(HealthTest, AProgramThatIsNotThereIsAFailureThatSaysSo) {
  HealthCheck check = Check("gone", HealthKind::kExec, "");
  check.exec = {"/no/such/program"};
  Configure({check});
  EXPECT_THAT(Gets("gone", Row::UNHEALTHY).result(), HasSubstr("ENOENT"));
}

TEST_F(HealthTest, TcpAndFileChecksSeeWhatIsThereAndWhatIsNot) {
  std::optional<HttpStub> stub("HTTP/1.1 200 OK\r\n\r\n");
  const std::string path = dir_ / "up";
  std::ofstream(path) << "x";
  Configure({Check("tcp", HealthKind::kTcp, std::to_string(stub->port())),
             Check("file", HealthKind::kFile, path)});
  EXPECT_EQ(Gets("tcp", Row::HEALTHY).result(), "it accepts");
  EXPECT_EQ(Gets("file", Row::HEALTHY).result(), "it is there");
  stub.reset();
  std::filesystem::remove(path);
  EXPECT_THAT(Gets("tcp", Row::UNHEALTHY).result(), HasSubstr("ECONNREFUSED"));
  EXPECT_THAT(Gets("file", Row::UNHEALTHY).result(), HasSubstr("ENOENT"));
}

TEST_F(HealthTest, AnHttpCheckLooksAtStatusAndBody) {
  HttpStub stub("HTTP/1.1 204 No Content\r\n\r\n");
  HealthCheck body = Check("body", HealthKind::kHttp, stub.url());
  body.body = "ready";
  Configure({Check("status", HealthKind::kHttp, stub.url()), body});
  Gets("status", Row::HEALTHY);
  EXPECT_THAT(stub.request(), StartsWith("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:"));
  EXPECT_THAT(stub.request(), HasSubstr("Connection: close\r\n"));
  EXPECT_EQ(Gets("body", Row::UNHEALTHY).result(), "status 204, and the body lacks \"ready\"");
  stub.set_answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall ready");
  EXPECT_EQ(Gets("body", Row::HEALTHY).result(), "status 200");
  stub.set_answer("HTTP/1.1 503 Busy\r\nContent-Length: 8\r\n\r\noverload");
  const Row row = Gets("status", Row::UNHEALTHY);
  EXPECT_EQ(row.result(), "status 503, not 200 to 399");
  EXPECT_EQ(row.output(), "overload");
  stub.set_answer("220 smtp ready\r\n\r\n");
  EXPECT_TRUE(Eventually([&] { return Find("status")->result().starts_with("http: EPROTO"); }))
      << Find("status")->result();
}

TEST_F(HealthTest, AnHttpServiceThatSaysNothingTimesOut) {
  HttpStub stub("");
  HealthCheck check = Check("mute", HealthKind::kHttp, stub.url());
  check.timeout_ms = 200;
  Configure({check});
  EXPECT_EQ(Gets("mute", Row::UNHEALTHY).result(), "timed out after 200 ms");
}

TEST_F(HealthTest, TheHostsChecksCountWhereInitTomlHasTheSameName) {
  HealthCheck web = Exec("web", "false");
  HealthCheck own = Exec("own", "true");
  ASSERT_TRUE(
      WriteFileAtomic(rig_.settings_path(), EncodeAgentSettings({.checks = {web, own}}), 0600));
  AgentRig* const rig = &rig_;
  // Read at its start, which is over: read again behind a Configure.
  const ScriptedPid1 pid1(rig->service_path(), [](const Asked& asked, UniqueFd& fd) {
    if (asked.request.verb == ServiceVerb::kList) {
      auto row = testing::Row("db");
      row.health = ServiceHealth::kUnhealthy;
      std::snprintf(row.detail, sizeof(row.detail), "unhealthy: nobody answers");
      ScriptedPid1::Send(fd, row);
      ScriptedPid1::Send(fd, testing::Row("idle"));
    }
    ScriptedPid1::Send(fd, 0);
  });
  RawClient follower(rig->Connect());
  follower.SendBytes(HelloOf(3) + RawClient::Encoded([](v1::Envelope& message) {
                       message.mutable_follow()->mutable_configure()->set_toml("x = 1");
                     }));
  EXPECT_TRUE(follower.ReadMessage().has_following());
  EXPECT_EQ(Gets("web", Row::UNHEALTHY).source(), Row::GUEST);
  Configure({Exec("web", "true")});
  EXPECT_EQ(Gets("web", Row::HEALTHY).source(), Row::HOST);
  EXPECT_EQ(Gets("own", Row::HEALTHY).source(), Row::GUEST);
  Configure({});
  EXPECT_EQ(Gets("web", Row::UNHEALTHY).source(), Row::GUEST);
  // PID 1's services stand beside them, those without a verdict left out.
  const Row service = Gets("service:db", Row::UNHEALTHY);
  EXPECT_EQ(service.source(), Row::SERVICE);
  EXPECT_EQ(service.result(), "unhealthy: nobody answers");
  EXPECT_FALSE(Find("service:idle"));
}

TEST_F(HealthTest, TheHostIsRungForOnceForEachTimeThatItAsked) {
  const std::string path = dir_ / "up";
  Configure({Check("file", HealthKind::kFile, path)});
  Gets("file", Row::UNHEALTHY);
  RawClient follower(rig_.Connect());
  follower.SendBytes(HelloOf(3) +
                     RawClient::Encoded([](v1::Envelope& message) { message.mutable_follow(); }));
  // The bell of before may be unheard still: it comes with Following.
  EXPECT_TRUE(follower.ReadMessage().has_following());
  std::ofstream(path) << "x";
  for (bool healthy = false; !healthy;) {
    const v1::GuestEvent event = follower.ReadMessage().guest_event();
    ASSERT_TRUE(event.has_health_changed());
    v1::Envelope ack;
    ack.mutable_guest_event_ack()->set_seq(event.seq());
    follower.Send(ack);
    healthy = Find("file")->state() == Row::HEALTHY;
  }
  // PID 1's bell is passed on.
  rig_.SendControl({.kind = ControlKind::kHealthChanged});
  EXPECT_TRUE(follower.ReadMessage().guest_event().has_health_changed());
}

TEST_F(HealthTest, ChecksThatAreNoneAreRefusedWhole) {
  const auto refused = [&](const std::function<void(v1::HealthConfigure&)>& spoil) {
    return Call([&](v1::Envelope& request) {
             auto& configure = *request.mutable_health_configure();
             configure = guest::ToHealthConfigure({Exec("a", "true")});
             spoil(configure);
           })
        .failure();
  };
  EXPECT_EQ(refused([](auto& all) { all.mutable_checks(0)->set_name("agent"); }).errnum(), EINVAL);
  EXPECT_EQ(refused([](auto& all) { *all.add_checks() = all.checks(0); }).errnum(), EINVAL);
  EXPECT_EQ(
      refused([](auto& all) { all.mutable_checks(0)->set_interval_ms(~uint64_t{0}); }).errnum(),
      EINVAL);
  EXPECT_EQ(refused([](auto& all) {
              all.mutable_checks(0)->set_kind(static_cast<v1::HealthConfigure::Check::Kind>(9));
            }).errnum(),
            EINVAL);
  EXPECT_EQ(refused([](auto& all) {
              for (int i = 0; i <= wire::kMaxHealthChecks; ++i) *all.add_checks() = all.checks(0);
            }).errnum(),
            E2BIG);
  EXPECT_EQ(Look().checks_size(), 0);
}

TEST_F(HealthTest, AnOldHostHasNoSuchCall) {
  RawClient client(rig_.Connect());
  v1::Envelope request;
  request.mutable_health_call();
  client.SendBytes(HelloOf(2));
  client.Send(request);
  v1::Envelope answer = client.ReadMessage();
  if (answer.has_hello()) answer = client.ReadMessage();
  EXPECT_EQ(answer.failure().errnum(), EPROTO);
}

}  // namespace
}  // namespace berth::testing
