// SPDX-License-Identifier: Apache-2.0
//
// Services of init.toml in a booted guest, seen through `berth exec VM -- berth-init ...`.
// tests/e2e/images/services/init.toml is the machine.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "tests/e2e/host.h"

namespace berth::e2e {
namespace {

class Services : public testing::Test {
 protected:
  Outcome Init(std::vector<std::string> args) {
    args.insert(args.begin(), {"exec", "vm", "--", "/sbin/berth-init"});
    return host_.Berth(std::move(args));
  }
  // The row of `berth-init status NAME --json`.
  nlohmann::json Row(const std::string& name) {
    const Outcome outcome = Init({"status", name, "--json"});
    const auto rows = nlohmann::json::parse(outcome.out, nullptr, false);
    EXPECT_TRUE(rows.is_array() && rows.size() == 1) << outcome;
    return rows.is_array() && !rows.empty() ? rows[0] : nlohmann::json::object();
  }
  bool Gets(const std::string& name, const std::string& state) {
    const auto deadline = Deadline::In(std::chrono::seconds(60));
    nlohmann::json row;
    while (!deadline.Passed()) {
      row = Row(name);
      if (row.value("state", "") == state) return true;
    }
    ADD_FAILURE() << name << " is not " << state << ": " << row.dump();
    return false;
  }
  std::string Read(const std::string& path) {
    return host_.Berth({"exec", "vm", "--", "cat", path}).out;
  }
  std::string Console() {
    std::ifstream file(host_.VmDir("vm") + "/console.log", std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  Host host_;
};

TEST_F(Services, StartInOrderRunAsTheyAreToldAndAreRestartedOrMarkedFailed) {
  host_.Up("vm", "services");
  ASSERT_TRUE(Gets("web", "ready"));
  EXPECT_EQ(Read("/run/web"), "hello\n") << "it came after base was ready";
  const auto base = Row("base");
  const auto web = Row("web");
  EXPECT_EQ(web.value("waits_for", ""), "base");
  EXPECT_GE(web.value("wanted_ns", int64_t{0}), base.value("first_ready_ns", int64_t{1}));
  EXPECT_EQ(Read("/sys/fs/cgroup/berth/web/pids.max"), "50\n");
  EXPECT_EQ(Read("/sys/fs/cgroup/berth/web/memory.max"), "67108864\n");

  ASSERT_TRUE(Gets("crash", "failed"));
  EXPECT_TRUE(Row("crash").value("detail", "").starts_with("crash loop: 3 short lives in a row"));
  EXPECT_EQ(Row("orphan").value("detail", ""), "requires crash, which has failed");

  ASSERT_TRUE(Gets("weak", "done"));
  EXPECT_EQ(Read("/run/weak"), "1234\nCapEff:\t0000000000000400\n");

  // Restart after kill -9.
  const int pid = web.value("pid", 0);
  ASSERT_GT(pid, 1);
  ASSERT_EQ(host_.Berth({"exec", "vm", "--", "kill", "-9", std::to_string(pid)}).code, 0);
  ASSERT_TRUE(Gets("web", "ready"));
  EXPECT_NE(Row("web").value("pid", 0), pid);
  EXPECT_EQ(Row("web").value("restarts", 0), 1);

  // Socket activation: the datagram that woke it is the one that it reads.
  EXPECT_EQ(Row("echo").value("state", ""), "waiting");
  // busybox has one client that sends a text of the caller's by UDP, a file's name.
  host_.Berth({"exec", "vm", "--", "sh", "-c",
               "busybox timeout 1 busybox tftp -g -r knock -l /tmp/x 127.0.0.1 9000"});
  const auto deadline = Deadline::In(std::chrono::seconds(30));
  std::string echo;
  while (!echo.ends_with("own\n") && !deadline.Passed()) echo = Read("/run/echo");
  EXPECT_EQ(echo, "1\n1 in\nown\n") << Row("echo").dump();
  EXPECT_EQ(Row("echo").value("state", ""), "ready");

  // Orders, and their exit codes.
  const Outcome table = Init({"status"});
  EXPECT_EQ(table.code, 0) << table;
  EXPECT_TRUE(table.out.starts_with("SERVICE")) << table;
  EXPECT_EQ(Init({"start", "later"}).code, 0);
  EXPECT_EQ(Row("later").value("state", ""), "ready");
  EXPECT_EQ(Init({"stop", "later"}).code, 0);
  EXPECT_EQ(Row("later").value("state", ""), "inactive");
  EXPECT_EQ(Init({"start", "nothing"}).code, 3);
  EXPECT_EQ(Init({"start"}).code, 2);
  EXPECT_EQ(Init({"start", "orphan", "--timeout", "20"}).code, 1);

  // One that ignores SIGTERM does not keep the machine, and is named.
  const Outcome stopped = host_.Berth({"stop", "vm"});
  EXPECT_EQ(stopped.code, 0) << stopped;
  EXPECT_EQ(host_.State("vm"), "Stopped");
  EXPECT_TRUE(Console().contains("deaf: did not end in time after its stop signal; killed"))
      << Console();
}

TEST_F(Services, TheEndOfMainIsTheEndOfTheMachine) {
  host_.Up("vm", "main-service");
  ASSERT_TRUE(Gets("app", "ready"));
  host_.Berth({"exec", "vm", "--", "sh", "-c", "until [ -p /run/go ]; do :; done; echo >/run/go"});
  const Outcome ended = host_.Berth({"wait", "vm", "--state", "Stopped", "--timeout", "60s"});
  EXPECT_EQ(ended.code, 0) << ended << Console();
  EXPECT_TRUE(Console().contains("the main service has ended (exit code 7)")) << Console();
  const Outcome status = host_.Berth({"status", "vm", "--json"});
  const auto report = nlohmann::json::parse(status.out, nullptr, false);
  ASSERT_TRUE(report.is_object() && report.contains("guest_exit")) << status;
  EXPECT_EQ(report["guest_exit"].value("cause", ""), "main") << status;
  EXPECT_EQ(report["guest_exit"].value("code", -1), 7) << status;
}

}  // namespace
}  // namespace berth::e2e
