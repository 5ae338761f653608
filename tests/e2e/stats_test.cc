// SPDX-License-Identifier: Apache-2.0
//
// berth stats and berth top with real guests.
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "tests/e2e/host.h"

namespace berth::e2e {
namespace {

using nlohmann::json;

constexpr auto kSoon = 60s;

class Stats : public testing::Test {
 protected:
  json Look(const std::string& vm) {
    const Outcome outcome = host_.Berth({"stats", "--json", vm});
    EXPECT_EQ(outcome.code, 0) << outcome;
    return json::parse(outcome.out, nullptr, false);
  }
  static const json* Named(const json& rows, const std::string& name) {
    for (const json& row : rows) {
      if (row["name"] == name) return &row;
    }
    return nullptr;
  }

  Host host_;
};

TEST_F(Stats, TheGuestsOwnFiguresAndItsServices) {
  host_.Up("vm", "services");
  // With what it comes after; answered when it is ready.
  const Outcome ready = host_.Berth({"service", "vm", "start", "web"});
  ASSERT_EQ(ready.code, 0) << ready;
  const json first = Look("vm");
  ASSERT_TRUE(first.is_object());
  const json& guest = first["guest"];
  EXPECT_EQ(guest["cpu"]["count"], 1);
  EXPECT_GT(guest["cpu"]["idle_us"].get<uint64_t>() + guest["cpu"]["user_us"].get<uint64_t>(), 0U);
  EXPECT_GT(guest["memory"]["total_bytes"], 64 << 20);
  EXPECT_GT(guest["memory"]["total_bytes"], guest["memory"]["available_bytes"]);
  ASSERT_NE(Named(guest["interfaces"], "lo"), nullptr);
  const json* web = Named(guest["services"], "web");
  ASSERT_NE(web, nullptr) << guest["services"];
  EXPECT_GT((*web)["memory_bytes"], 0);
  EXPECT_EQ((*web)["oom_kills"], 0);
  EXPECT_GE((*web)["tasks"], 1);
  // The host's word on the hypervisor stands beside it.
  EXPECT_EQ(first["host"]["pid"], host_.Pid("vm", "hypervisor_pid"));
  EXPECT_GT(first["host"]["rss_bytes"], 32 << 20);
  EXPECT_GT(first["host"]["cpu_us"], 0);

  // A session by its id; those that ended are none any more.
  const Outcome session = host_.Berth({"exec", "--detach", "vm", "--", "sleep", "1000"});
  ASSERT_EQ(session.code, 0) << session;
  const json running = Look("vm")["guest"]["sessions"];
  ASSERT_EQ(running.size(), 1U) << running;
  EXPECT_EQ(running[0]["name"].get<std::string>() + "\n", session.out);

  // What the guest spends is counted.
  const Outcome spent = host_.Berth(
      {"exec", "vm", "--", "sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"});
  ASSERT_EQ(spent.code, 0) << spent;
  const json second = Look("vm");
  EXPECT_GT(second["guest"]["cpu"]["user_us"], guest["cpu"]["user_us"]);
  EXPECT_GT(second["guest"]["at_ms"], guest["at_ms"]);
  EXPECT_GT(second["host"]["cpu_us"], first["host"]["cpu_us"]);

  const Outcome table = host_.Berth({"stats", "vm"});
  EXPECT_EQ(table.code, 0) << table;
  for (const char* part : {"cpu ", "memory ", "host ", "INTERFACE", "SERVICE", "web"}) {
    EXPECT_NE(table.out.find(part), std::string::npos) << part << table;
  }
}

TEST_F(Stats, TopShowsAllThatRunAndDelaysNobodyForOneThatIsSilent) {
  host_.Up("one");
  host_.Up("two");
  ASSERT_EQ(host_.Berth({"create", "down", "--image", Image("demo")}).code, 0);
  // A hypervisor that stands still: its guest does not answer.
  const pid_t hypervisor = host_.Pid("two", "hypervisor_pid");
  ASSERT_GT(hypervisor, 0);
  ASSERT_EQ(kill(hypervisor, SIGSTOP), 0);
  const Outcome top = host_.Berth({"top", "--json"});
  ASSERT_EQ(kill(hypervisor, SIGCONT), 0);
  ASSERT_EQ(top.code, 0) << top;
  const json rows = json::parse(top.out, nullptr, false);
  ASSERT_EQ(rows.size(), 2U) << top;
  EXPECT_EQ(rows[0]["vm"], "one");
  EXPECT_GT(rows[0]["memory_total_bytes"], 0);
  EXPECT_EQ(rows[1]["vm"], "two");
  EXPECT_TRUE(rows[1].contains("note")) << top;
}

TEST_F(Stats, TopLeavesTheTerminalAsItWas) {
  host_.Up("vm");
  for (const bool by_signal : {false, true}) {
    int terminal = -1;
    const winsize size{.ws_row = 24, .ws_col = 120, .ws_xpixel = 0, .ws_ypixel = 0};
    termios before{};
    const pid_t pid = forkpty(&terminal, nullptr, nullptr, &size);
    if (pid == 0) {
      const std::string program = BinDir() + "/berth";
      execl(program.c_str(), "berth", "top", "--socket", host_.socket().c_str(), nullptr);
      _exit(127);
    }
    ASSERT_GT(pid, 0);
    const UniqueFd fd(terminal);
    ASSERT_EQ(tcgetattr(fd.get(), &before), 0);
    std::string out;
    const auto read_until = [&](const std::string& text) {
      const auto deadline = Deadline::In(kSoon);
      while (out.find(text) == std::string::npos && !deadline.Passed()) {
        char chunk[4096];
        const ssize_t n = read(fd.get(), chunk, sizeof(chunk));
        if (n <= 0) break;
        out.append(chunk, static_cast<size_t>(n));
      }
      return out.find(text) != std::string::npos;
    };
    EXPECT_TRUE(read_until("MiB of ")) << out;
    if (by_signal) {
      EXPECT_EQ(kill(pid, SIGTERM), 0);
    } else {
      EXPECT_EQ(write(fd.get(), "q", 1), 1);
    }
    EXPECT_TRUE(read_until("\x1b[?1049l")) << "the other screen stays";
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), by_signal ? 128 + SIGTERM : 0);
    EXPECT_NE(out.find("\x1b[?25h"), std::string::npos) << "the cursor stays away";
    termios after{};
    if (tcgetattr(fd.get(), &after) == 0) EXPECT_EQ(after.c_lflag, before.c_lflag);
  }
}

}  // namespace
}  // namespace berth::e2e
