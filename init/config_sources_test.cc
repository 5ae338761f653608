// SPDX-License-Identifier: Apache-2.0
//
// The three sources of the configuration, which of them wins, and what is loaded at boot.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "init/config_decode.h"

namespace berth::init {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::StartsWith;
using std::chrono_literals::operator""s;

DecodedConfig Decode(std::string_view file, std::string_view cmdline, std::string_view host = "") {
  const Options options = ParseCmdline(cmdline);
  const ConfigSource sources[] = {{"file", file, {}},
                                  {"kernel command line", {}, options.config_words},
                                  {"the host's Configure", host, {}}};
  return DecodeConfig(sources, EarlyKeys());
}

Config Clean(std::string_view file, std::string_view cmdline, std::string_view host = "") {
  DecodedConfig decoded = Decode(file, cmdline, host);
  EXPECT_THAT(decoded.mistakes, IsEmpty());
  return std::move(decoded.config);
}

TEST(ConfigSources, TheLaterOneWins) {
  constexpr std::string_view kFile = "hostname = 'file'\n";
  EXPECT_EQ(Clean(kFile, "").hostname, "file");
  EXPECT_EQ(Clean(kFile, "berth.hostname=word").hostname, "word");
  EXPECT_EQ(Clean(kFile, "berth.hostname=word berth.hostname=last").hostname, "last");
  EXPECT_EQ(Clean(kFile, "berth.hostname=word", "hostname = 'host'").hostname, "host");
}

TEST(ConfigSources, TablesMergeByKeyAndAnythingElseIsReplacedWhole) {
  const Config config = Clean(R"(
environment = {A = "1", B = "1"}
mount = [{target = "/a", type = "tmpfs"}, {target = "/b", type = "tmpfs"}]
service.web = {exec = "x", args = ["1", "2"], env = {P = "1"}}
)",
                              "berth.environment.B=2 berth.service.web.env.Q=2",
                              "mount = [{target = '/c', type = 'tmpfs'}]\n"
                              "[service.web]\nargs = ['3']\n[service.new]\nexec = 'y'\n");
  EXPECT_THAT(config.environment, ElementsAre(Pair("A", "1"), Pair("B", "2")));
  ASSERT_EQ(config.mounts.size(), 1U);
  EXPECT_EQ(config.mounts[0].target, "/c");
  ASSERT_EQ(config.services.size(), 2U);
  EXPECT_EQ(config.services[0].exec, "x");
  EXPECT_THAT(config.services[0].args, ElementsAre("3"));
  EXPECT_THAT(config.services[0].env, ElementsAre(Pair("P", "1"), Pair("Q", "2")));
  EXPECT_EQ(config.services[1].name, "new");
}

TEST(ConfigSources, AWordIsReadAsWhatItsKeyTakes) {
  const Config config = Clean("service.web = {exec = 'x'}",
                              "berth.hostname=5 "
                              "berth.configure_timeout=7 "
                              "berth.sysctl.net.ipv4.ip_forward=1 "
                              "berth.environment.N=007 "
                              "berth.service.web.no_new_privs=true "
                              "berth.service.web.main "
                              "berth.service.web.restart=never "
                              "\"berth.service.web.args=['a b', 'c']\" "
                              "berth.service.web.ready={port=80} "
                              "berth.service.web.stop_timeout=20s "
                              "berth.network.interface.'eth0.7'.address=10.0.0.2/24 "
                              "berth.network.dns=['1.1.1.1','8.8.8.8'] "
                              "berth.modules=loop");
  EXPECT_EQ(config.hostname, "5") << "a host name is a text";
  EXPECT_EQ(config.configure_timeout, 7s);
  EXPECT_THAT(config.sysctls, ElementsAre(Pair("net.ipv4.ip_forward", "1")));
  EXPECT_THAT(config.environment, ElementsAre(Pair("N", "007")));
  const ServiceConfig& web = config.services.at(0);
  EXPECT_TRUE(web.no_new_privs);
  EXPECT_TRUE(web.main);
  EXPECT_EQ(web.restart.when, RestartWhen::kNever);
  EXPECT_THAT(web.args, ElementsAre("a b", "c"));
  EXPECT_EQ(web.ready.probe->port, 80);
  EXPECT_EQ(web.stop_timeout, 20s);
  EXPECT_EQ(config.network.interfaces.at(0).name, "eth0.7");
  EXPECT_THAT(config.network.interfaces.at(0).addresses, ElementsAre("10.0.0.2/24"));
  EXPECT_THAT(config.network.dns, ElementsAre("1.1.1.1", "8.8.8.8"));
  EXPECT_THAT(config.modules, IsEmpty()) << "berth.modules= is read before there is a root";
}

TEST(ConfigSources, MistakesNameTheirSourceInTheOrderOfSources) {
  const DecodedConfig decoded =
      Decode("\nhostname = 5\n[service.web]\nexec='x'\nargs=5",
             "berth.service.web.restart=sometimes berth.rootwiat=3 berth.hostnam=x "
             "berth.service.web.main=maybe",
             "nope = 1");
  EXPECT_THAT(
      decoded.mistakes,
      ElementsAre("file:2:12: hostname: expected a text, found the integer 5",
                  "file:5:6: service.web.args: expected a list of texts, found the integer 5",
                  "kernel command line: berth.service.web.restart=sometimes: "
                  "service.web.restart: \"sometimes\" is not one of never, on-failure, always",
                  "kernel command line: berth.rootwiat=3: rootwiat: no such key; did you mean "
                  "\"rootwait\"?",
                  "kernel command line: berth.hostnam=x: hostnam: no such key; did you mean "
                  "\"hostname\"?",
                  "kernel command line: berth.service.web.main=maybe: service.web.main: expected "
                  "true or false, found the text \"maybe\"",
                  "the host's Configure:1:1: nope: no such key"));
}

TEST(ConfigSources, ABadWordMarksItsService) {
  const DecodedConfig decoded =
      Decode("service.a = {exec='x'}\nservice.b = {exec='x'}", "berth.service.b.restart=sometimes");
  EXPECT_EQ(decoded.config.services.at(0).mistake, "");
  EXPECT_THAT(decoded.config.services.at(1).mistake, StartsWith("kernel command line: "));
}

TEST(ConfigSources, AHostTextThatIsNotTomlMarksTheServiceItSpeaksOf) {
  const DecodedConfig decoded =
      Decode("service.a = {exec='x'}\nservice.b = {exec='x'}", "", "[service.b]\nargs = [x]\n");
  EXPECT_EQ(decoded.config.services.at(0).mistake, "");
  EXPECT_THAT(decoded.config.services.at(1).mistake, StartsWith("the host's Configure:2:"));
}

TEST(ConfigSources, WordsThatAreOddAreMistakesAndNothingElse) {
  for (const char* word : {"berth.", "berth.=", "berth.=x", "berth..", "berth.a..b=1", "berth.'",
                           "berth.''=1", "berth.service=1", "berth.service.=1", "berth.mount=x",
                           "berth.service.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s=1"}) {
    EXPECT_FALSE(Decode("", word).mistakes.empty()) << word;
  }
}

class LoadConfigTest : public testing::Test {
 protected:
  ~LoadConfigTest() override { std::remove(path_.c_str()); }

  Config Load(const char* path) { return Load(ParseCmdline(""), path); }
  Config Load(const Options& options, const char* path) {
    DecodedConfig decoded = LoadConfig(options, ReadConfigFile(path), "");
    mistakes_ = std::move(decoded.mistakes);
    return std::move(decoded.config);
  }
  void Write(std::string_view text) { std::ofstream(path_) << text; }

  std::string path_ = testing::TempDir() + "/init.toml";
  std::vector<std::string> mistakes_;
};

TEST_F(LoadConfigTest, AMissingFileIsAnEmptyOne) {
  EXPECT_EQ(Load("/nowhere/init.toml").shutdown.grace, 10s);
  EXPECT_THAT(mistakes_, IsEmpty());
}

TEST_F(LoadConfigTest, ReadsTheFile) {
  Write("hostname = 'a'\n[service.s]\nexec='x'\n");
  const Config config = Load(path_.c_str());
  EXPECT_EQ(config.hostname, "a");
  EXPECT_THAT(mistakes_, IsEmpty());
}

TEST_F(LoadConfigTest, AFileThatCannotBeReadLetsNoServiceStart) {
  Options options = ParseCmdline("berth.service.s.exec=x");
  const Config config = Load(options, "/proc");
  EXPECT_THAT(mistakes_, ElementsAre(HasSubstr("EISDIR")));
  EXPECT_THAT(config.services.at(0).mistake, HasSubstr("EISDIR"));
  mistakes_.clear();
  Write(std::string(kMaxConfigBytes + 1, '#'));
  Load(path_.c_str());
  EXPECT_THAT(mistakes_, ElementsAre(HasSubstr("EFBIG")));
}

}  // namespace
}  // namespace berth::init
