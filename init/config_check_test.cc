// SPDX-License-Identifier: Apache-2.0
//
// What an image's author sees: `berth-init --check`.
#include "init/config_check.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "init/command.h"
#include "init/config.h"
#include "init/config_decode.h"

namespace berth::init {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

// One mistake a line, so that none can hide behind another.
constexpr std::string_view kTwenty = R"(hostname = "web_1"
hostnam = "web"
modules = "loop"
configure_timeout = "5 seconds"

[sysctl]
"../../etc/passwd" = 1

[[mount]]
target = "data"
type = "tmpfs"

[[mount]]
source = "/dev/vdb"
target = "/data"
type = "xfs"
format = "if-blank"

[network]
dns = ["10.0.0.300"]

[network.interface.eth0]
address = "10.0.0.2"
mtu = 10

[[file]]
path = "/etc/motd"
mode = "0999"

[user.app]
gid = 5

[service.web]
exec = "/usr/sbin/nginx -g"
restart = "sometimes"
capabilities = ["CAP_NET_BIND"]
rlimits = { nofil = 1024 }
stop_signal = "SIGTREM"
requires = ["database"]
env = FOO

[service.databases]
exec = "postgres"
after = ["backup"]
oneshot = true
ready = { port = 70000 }

[service.backup]
exec = "backup"
after = ["databases"]
restart = "always"
oneshot = 1

[shutdown]
grace = "2d"
)";

TEST(CheckConfig, NamesEveryMistakeAtItsPlace) {
  EXPECT_THAT(
      DecodeConfigText("init.toml", kTwenty).mistakes,
      ElementsAre(
          "init.toml:1:12: hostname: \"web_1\" is not a host name: letters, digits, - and ., up to "
          "63",
          "init.toml:2:1: hostnam: no such key; did you mean \"hostname\"?",
          "init.toml:3:11: modules: expected a list of texts, found the text \"loop\"",
          "init.toml:4:21: configure_timeout: \"5 seconds\" is not a duration such as \"500ms\", "
          "\"10s\", \"2m\" or \"1h\"",
          "init.toml:7:1: sysctl.\"../../etc/passwd\": not the name of a sysctl",
          "init.toml:10:10: mount.target: \"data\" is not an absolute path",
          "init.toml:17:1: mount.format: only an ext4 on a device can be made",
          "init.toml:20:8: network.dns: \"10.0.0.300\" is not an address such as \"10.0.0.1\" or "
          "\"fd00::1\"",
          "init.toml:23:11: network.interface.eth0.address: \"10.0.0.2\" is without a prefix "
          "length: say \"10.0.0.2/24\"",
          "init.toml:24:7: network.interface.eth0.mtu: 10 is not within 68 to 65535",
          "init.toml:28:8: file.mode: \"0999\" is not a mode: octal digits such as \"0644\", up to "
          "\"7777\"",
          "init.toml:30:1: user.app: no \"uid\", which it needs",
          "init.toml:34:8: service.web.exec: \"/usr/sbin/nginx -g\" is not one program: what "
          "follows its path belongs in \"args\"",
          "init.toml:35:11: service.web.restart: \"sometimes\" is not one of never, on-failure, "
          "always",
          "init.toml:36:17: service.web.capabilities: \"CAP_NET_BIND\" is not a capability such as "
          "\"CAP_NET_ADMIN\"; did you mean \"CAP_NET_BIND_SERVICE\"?",
          "init.toml:37:13: service.web.rlimits.nofil: not a resource limit such as nofile; did "
          "you mean \"nofile\"?",
          "init.toml:38:15: service.web.stop_signal: \"SIGTREM\" is not a signal such as "
          "\"SIGTERM\"; did you mean \"SIGTERM\"?",
          "init.toml:39:13: service.web.requires: there is no service \"database\"; did you mean "
          "\"databases\"?",
          "init.toml:40:7: not TOML: not a value; a text stands in quotes",
          "init.toml:46:18: service.databases.ready.port: 70000 is not within 1 to 65535",
          "init.toml:50:10: service.backup.after: a cycle: databases -> backup -> databases",
          "init.toml:52:11: service.backup.oneshot: expected true or false, found the integer 1",
          "init.toml:55:9: shutdown.grace: \"2d\" is not a duration such as \"500ms\", \"10s\", "
          "\"2m\" or \"1h\""));
}

class CheckFile : public testing::Test {
 protected:
  ~CheckFile() override { std::remove(path_.c_str()); }

  int Check(const std::string& file) {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = CheckConfig(file.c_str());
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return code;
  }
  int CheckText(std::string_view text) {
    std::ofstream(path_) << text;
    return Check(path_);
  }

  std::string path_ = testing::TempDir() + "/check." + std::to_string(getpid()) + ".toml";
  std::string out_;
  std::string err_;
};

TEST_F(CheckFile, SaysThatThereIsNoMistake) {
  EXPECT_EQ(CheckText("[service.a]\nexec = 'x'\n"), 0);
  EXPECT_EQ(out_, path_ + ": no mistakes, 1 service\n");
  EXPECT_EQ(CheckText(""), 0);
  EXPECT_EQ(out_, path_ + ": no mistakes, 0 services\n");
}

TEST_F(CheckFile, NamesTheFileInEachLine) {
  EXPECT_EQ(CheckText("a = 1\nb = 2\n"), 1);
  EXPECT_EQ(out_, path_ + ":1:1: a: no such key\n" + path_ + ":2:1: b: no such key\n");
  EXPECT_EQ(err_, "");
}

TEST_F(CheckFile, SaysWhyAFileCannotBeRead) {
  EXPECT_EQ(Check("/nowhere/init.toml"), 2);
  EXPECT_THAT(err_, HasSubstr("open: ENOENT"));
  EXPECT_EQ(Check("/"), 2);
  EXPECT_THAT(err_, HasSubstr("read: EISDIR"));
  EXPECT_EQ(CheckText(std::string(kMaxConfigBytes + 1, '#')), 2);
  EXPECT_THAT(err_, HasSubstr("at most 256 KiB"));
  EXPECT_EQ(CheckText(std::string(kMaxConfigBytes, '#')), 0);
}

TEST_F(CheckFile, BytesThatAreNoTextAreMistakes) {
  EXPECT_EQ(CheckText(std::string_view("hostname = 'a'\n\0", 16)), 1);
  EXPECT_THAT(out_, StartsWith(path_ + ":2:1: a NUL byte"));
  EXPECT_EQ(CheckText("hostname = '\xff\xfe'\n"), 1);
  EXPECT_THAT(out_, HasSubstr("utf-8"));
}

TEST_F(CheckFile, ReadsTheStandardInput) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  ASSERT_EQ(write(ends[1], "x = 1\n", 6), 6);
  close(ends[1]);
  const int saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
  dup2(ends[0], STDIN_FILENO);
  close(ends[0]);
  EXPECT_EQ(Check("-"), 1);
  if (saved >= 0) {
    dup2(saved, STDIN_FILENO);
    close(saved);
  }
  EXPECT_EQ(out_, "standard input:1:1: x: no such key\n");
}

TEST_F(CheckFile, IsAWordOfTheProgram) {
  std::ofstream(path_) << "x = 1\n";
  const auto run = [](std::vector<std::string> words) {
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = RunCommand(argv);
    return std::to_string(code) + " " + testing::internal::GetCapturedStdout() +
           testing::internal::GetCapturedStderr();
  };
  EXPECT_THAT(run({"berth-init", "--check", path_}), StartsWith("1 " + path_ + ":1:1: "));
  EXPECT_THAT(run({"berth-init", "--check"}), StartsWith("2 "));
  EXPECT_THAT(run({"berth-init", "--check", path_, path_}), StartsWith("2 "));
  EXPECT_THAT(run({"berth-init", "--keys"}), StartsWith("0 ### "));
}

}  // namespace
}  // namespace berth::init
