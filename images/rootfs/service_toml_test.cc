// SPDX-License-Identifier: Apache-2.0
#include "images/rootfs/service_toml.h"

#include <gtest/gtest.h>
#include <toml++/toml.h>

namespace berth::image {
namespace {

OciConfig Web() {
  OciConfig config;
  config.entrypoint = {"/bin/web", "--name"};
  config.cmd = {"a \"b\" \\ c\n\x01\x7f", "ä"};
  config.env = {{"PATH", "/bin"}, {"odd.key", "v=1"}, {"PATH", "/usr/bin"}};
  config.user = "web:1000";
  config.working_dir = "/srv";
  config.stop_signal = "SIGQUIT";
  return config;
}

TEST(MainService, SaysWhatTheImageSaysInTomlOfTheSameMeaning) {
  const auto text = MainService(Web());
  ASSERT_TRUE(text) << text.error().Message();
  const toml::table table = toml::parse(*text);
  const auto main = table["service"]["main"];
  EXPECT_EQ(main["exec"].value_or(""), std::string("/bin/web"));
  EXPECT_EQ(main["args"][0].value_or(""), std::string("--name"));
  EXPECT_EQ(main["args"][1].value_or(""), std::string("a \"b\" \\ c\n\x01\x7f"));
  EXPECT_EQ(main["args"][2].value_or(""), std::string("ä"));
  EXPECT_EQ(main["env"]["PATH"].value_or(""), std::string("/usr/bin"));
  EXPECT_EQ(main["env"]["odd.key"].value_or(""), std::string("v=1"));
  EXPECT_EQ(main["user"].value_or(""), std::string("web"));
  EXPECT_EQ(main["group"].value_or(""), std::string("1000"));
  EXPECT_EQ(main["cwd"].value_or(""), std::string("/srv"));
  EXPECT_EQ(main["stop_signal"].value_or(""), std::string("SIGQUIT"));
  EXPECT_EQ(main["restart"].value_or(""), std::string("never"));
  EXPECT_TRUE(main["main"].value_or(false));
}

TEST(MainService, SaysRealTimeSignalsByNumber) {
  const auto stop_signal = [](const char* text) {
    OciConfig config = Web();
    config.stop_signal = text;
    const toml::table table = toml::parse(MainService(config).value());
    return std::string(table["service"]["main"]["stop_signal"].value_or(""));
  };
  EXPECT_EQ(stop_signal("SIGRTMIN+3"), "37");
  EXPECT_EQ(stop_signal("RTMIN"), "34");
  EXPECT_EQ(stop_signal("SIGRTMAX-2"), "62");
  for (const char* const as_it_is :
       {"SIGTERM", "15", "SIGRTMIN+", "SIGRTMIN-1", "SIGRTMIN+31", "SIGRTMIN+-1", "SIGRTMIN+3x"}) {
    EXPECT_EQ(stop_signal(as_it_is), as_it_is);
  }
}

TEST(MainService, RefusesBytesThatTomlCannotHold) {
  OciConfig config = Web();
  for (const char* const bad :
       {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xe2\x82", "\xf5\x80\x80\x80"}) {
    config.cmd = {bad};
    EXPECT_EQ(MainService(config).error().errnum, EILSEQ);
  }
}

TEST(MergeConfig, LeavesTheAuthorsTextAsItIsWhereNothingConflicts) {
  Warnings warnings;
  const std::string own = "hostname = \"x\"  # a comment\n[service.other]\nexec = \"/o\"";
  const auto merged = MergeConfig(own, Web(), warnings);
  ASSERT_TRUE(merged) << merged.error().Message();
  EXPECT_TRUE(merged->starts_with(own + "\n"));
  const toml::table table = toml::parse(*merged);
  EXPECT_EQ(table["service"]["main"]["exec"].value_or(""), std::string("/bin/web"));
  EXPECT_EQ(table["service"]["other"]["exec"].value_or(""), std::string("/o"));
}

TEST(MergeConfig, TheAuthorsKeysWin) {
  Warnings warnings;
  const auto merged = MergeConfig(
      "[service.main]\nuser = \"me\"\nrestart = \"always\"\nenv = {PATH = \"/mine\", NEW = "
      "\"1\"}\n",
      Web(), warnings);
  ASSERT_TRUE(merged) << merged.error().Message();
  const toml::table table = toml::parse(*merged);
  const auto main = table["service"]["main"];
  EXPECT_EQ(main["user"].value_or(""), std::string("me"));
  EXPECT_EQ(main["restart"].value_or(""), std::string("always"));
  EXPECT_EQ(main["exec"].value_or(""), std::string("/bin/web"));
  EXPECT_EQ(main["env"]["PATH"].value_or(""), std::string("/mine"));
  EXPECT_EQ(main["env"]["NEW"].value_or(""), std::string("1"));
  EXPECT_EQ(main["env"]["odd.key"].value_or(""), std::string("v=1"));
}

TEST(MergeConfig, AnotherProgramDoesNotGetTheOldOnesArguments) {
  Warnings warnings;
  const auto merged = MergeConfig("[service.main]\nexec = \"/mine\"\n", Web(), warnings);
  ASSERT_TRUE(merged);
  EXPECT_FALSE(toml::parse(*merged)["service"]["main"]["args"]);
}

TEST(MergeConfig, AnotherMainServiceStandsAlone) {
  Warnings warnings;
  const std::string own = "[service.x]\nexec = \"/x\"\nmain = true\n";
  EXPECT_EQ(MergeConfig(own, Web(), warnings).value(), own);
  ASSERT_EQ(warnings.List().size(), 1U);
}

TEST(MergeConfig, MistakesOfTheAuthorAreNamed) {
  Warnings warnings;
  const auto merged = MergeConfig("a = 1\nb = \n", Web(), warnings);
  ASSERT_FALSE(merged);
  EXPECT_NE(merged.error().detail.find("init.toml:2:"), std::string::npos) << merged.error().detail;
  EXPECT_EQ(MergeConfig("service = 5\n", Web(), warnings).value(), "service = 5\n")
      << "what kind of thing a service is, --check says";
}

}  // namespace
}  // namespace berth::image
