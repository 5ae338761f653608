// SPDX-License-Identifier: Apache-2.0
//
// `berth logs` of a guest whose service says what the test wants said
// (tests/e2e/images/logs/init.toml).
#include <gtest/gtest.h>

#include <charconv>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/e2e/host.h"

namespace berth::e2e {
namespace {

using nlohmann::json;

class Logs : public testing::Test {
 protected:
  // Has the service say it, one write.
  void Say(const std::string& shell_words, const std::string& fifo = "say") {
    const Outcome said = host_.Berth({"exec", "--timeout", "60s", "vm", "--", "sh", "-c",
                                      "until [ -p /run/" + fifo + " ]; do usleep 10000; done; " +
                                          shell_words + " >/run/" + fifo});
    EXPECT_EQ(said.code, 0) << said;
  }
  // Waits until a line with `text` has come to the host.
  void AwaitLine(const std::string& text) {
    auto follower = host_.StartBerth({"logs", "-f", "vm"});
    EXPECT_TRUE(follower->WaitForOutput(text, Deadline::In(60s))) << follower->so_far();
  }
  Outcome Talker(std::vector<std::string> more = {}) {
    std::vector<std::string> args = {"logs", "vm", "--no-time", "--source", "talker"};
    args.insert(args.end(), more.begin(), more.end());
    return host_.Berth(std::move(args));
  }

  Host host_;
};

TEST_F(Logs, OfAServiceAreThereWhileItRunsAndAfterTheVmHasGone) {
  host_.Up("vm", "logs");
  Say("echo hello");
  AwaitLine("talker: hello");
  Say("echo ouch", "complain");
  AwaitLine("talker!: ouch");
  Say("printf 'a\\033[2Jb\\377\\n'");
  AwaitLine("talker: a?[2Jb?");
  EXPECT_EQ(Talker().out, "talker: hello\ntalker!: ouch\ntalker: a?[2Jb?\n");
  EXPECT_EQ(Talker({"-n", "1", "--raw"}).out, "talker: a\033[2Jb\xff\n");
  EXPECT_EQ(Talker({"--grep", "^h.l+o$"}).out, "talker: hello\n");
  EXPECT_EQ(Talker({"-n", "1", "--grep", "o"}).out, "talker!: ouch\n");
  EXPECT_EQ(Talker({"--since", "1h"}).out, Talker().out);
  EXPECT_EQ(Talker({"--until", "@1"}).out, "");
  EXPECT_EQ(Talker({"--level", "loud"}).code, 2);

  ASSERT_EQ(host_.Berth({"stop", "vm"}).code, 0);
  EXPECT_EQ(Talker({"-n", "2"}).out, "talker!: ouch\ntalker: a?[2Jb?\n");
  // The same VM again: another boot, behind the first.
  ASSERT_EQ(host_.Berth({"start", "vm"}).code, 0);
  Say("echo again");
  AwaitLine("talker: again");
  const Outcome both = Talker();
  EXPECT_TRUE(both.out.starts_with("talker: hello\n")) << both;
  EXPECT_TRUE(both.out.contains("-- boot ")) << both;
  EXPECT_TRUE(both.out.ends_with("talker: again\n")) << both;
  ASSERT_EQ(host_.Berth({"rm", "-f", "vm"}).code, 0);
  EXPECT_EQ(Talker().code, 3);
}

TEST_F(Logs, AFollowerHearsTheLastLineAndEndsWithTheVm) {
  host_.Up("vm", "logs");
  auto follower = host_.StartBerth({"logs", "-f", "--no-time", "--source", "talker", "vm"});
  Say("echo first");
  ASSERT_TRUE(follower->WaitForOutput("talker: first\n", Deadline::In(60s))) << follower->so_far();
  Say("echo the last word");
  ASSERT_EQ(host_.Berth({"stop", "vm"}).code, 0);
  const Outcome ended = follower->Wait(Deadline::In(30s));
  EXPECT_EQ(ended.code, 0) << ended;
  EXPECT_EQ(ended.out, "talker: first\ntalker: the last word\n");
}

TEST_F(Logs, AReaderThatGoesAwayEndsItQuietly) {
  host_.Up("vm", "logs");
  Say("seq 1 20000");
  AwaitLine("talker: 20000\n");
  const Outcome piped = RunCommand({"bash", "-c",
                                    BinDir() + "/berth logs vm --socket " + host_.socket() +
                                        " | head -n 1; echo ${PIPESTATUS[0]}"});
  EXPECT_TRUE(piped.out.ends_with("\n141\n")) << piped;
  EXPECT_EQ(piped.err, "");
  // Also where nothing is left to write.
  for (const char* follows : {"logs -f -n 1 --source talker vm", "events -f vm"}) {
    const Outcome left = RunCommand({"bash", "-c",
                                     BinDir() + "/berth --socket " + host_.socket() + " " +
                                         follows + " | head -n 1; echo ${PIPESTATUS[0]}"});
    EXPECT_TRUE(left.out.ends_with("\n141\n")) << left;
  }
}

TEST_F(Logs, NoLineOfAMillionIsLostWithoutAWordOrComesTwice) {
  constexpr uint64_t kLines = 1'000'000;
  host_.Up("vm", "logs");
  auto follower =
      host_.StartBerth({"logs", "-f", "--no-time", "--source", "talker", "vm"}, {.timeout = 500s});
  const Outcome said = host_.Berth({"exec", "vm", "--", "sh", "-c",
                                    "until [ -p /run/say ]; do usleep 10000; done; "
                                    "seq 1 1000000 >/run/say"},
                                   {.timeout = 400s});
  ASSERT_EQ(said.code, 0) << said;
  ASSERT_TRUE(follower->WaitForOutput("talker: 1000000\n", Deadline::In(400s)));
  ASSERT_EQ(host_.Berth({"stop", "vm"}).code, 0);
  const std::string out = follower->Wait(Deadline::In(60s)).out;
  uint64_t last = 0;
  uint64_t shown = 0;
  uint64_t lost = 0;
  std::string_view rest = out;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() + 1);
    const bool gap = line.starts_with("-- ");
    const std::string_view digits = line.substr(gap ? 3 : sizeof("talker: ") - 1);
    uint64_t number = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (gap) {
      lost += number;
      continue;
    }
    ASSERT_GT(number, last) << line;
    last = number;
    ++shown;
  }
  EXPECT_EQ(last, kLines);
  // Lost lines may be another source's too.
  EXPECT_GE(shown + lost, kLines) << shown << " shown, " << lost << " said to be lost";
  if (lost == 0) EXPECT_EQ(shown, kLines);
}

TEST_F(Logs, AFollowerOfAKilledBerthdSaysSo) {
  host_.Up("vm", "logs");
  auto follower = host_.StartBerth({"logs", "-f", "--no-time", "--source", "talker", "vm"});
  Say("echo here");
  ASSERT_TRUE(follower->WaitForOutput("talker: here\n", Deadline::In(60s))) << follower->so_far();
  host_.daemon().Signal(SIGKILL);
  host_.daemon().Wait(Deadline::In(30s));
  const Outcome ended = follower->Wait(Deadline::In(30s));
  EXPECT_EQ(ended.code, 5) << ended;
  EXPECT_TRUE(ended.err.contains("berthd")) << ended;
  host_.StartDaemon();
}

TEST_F(Logs, AFullBoundDropsTheOldestAndSaysWhereItBegins) {
  host_.Up("vm", "logs", {"--log-limit", "4"});
  Say("seq 1 200000");
  AwaitLine("talker: 200000\n");
  const Outcome some = Talker();
  EXPECT_FALSE(some.out.contains("talker: 1\n"));
  EXPECT_TRUE(some.out.ends_with("talker: 200000\n"));
}

TEST(LogsOf, AVmWithoutAnySayWhy) {
  Host host;
  ASSERT_EQ(host.Berth({"create", "vm", "--image", Image("demo"), "--accel", "tcg"}).code, 0);
  const Outcome never = host.Berth({"logs", "vm"});
  EXPECT_EQ(never.code, 4) << never;
  EXPECT_TRUE(never.err.contains("has not been started yet")) << never;
}

}  // namespace
}  // namespace berth::e2e
