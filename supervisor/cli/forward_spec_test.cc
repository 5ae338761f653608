// SPDX-License-Identifier: Apache-2.0
#include "supervisor/cli/forward_spec.h"

#include <gtest/gtest.h>

namespace berth::cli {
namespace {

std::string Parsed(const std::string& text) {
  const auto spec = ParseForward(text);
  return spec ? spec->local.Text() + " -> " + spec->remote.Text() : "error: " + spec.error();
}

TEST(ForwardSpec, TcpInAllItsForms) {
  EXPECT_EQ(Parsed("8080"), "127.0.0.1:8080 -> localhost:8080");
  EXPECT_EQ(Parsed("8080:80"), "127.0.0.1:8080 -> localhost:80");
  EXPECT_EQ(Parsed("0:80"), "127.0.0.1:0 -> localhost:80");
  EXPECT_EQ(Parsed("0.0.0.0:8080:80"), "0.0.0.0:8080 -> localhost:80");
  EXPECT_EQ(Parsed("localhost:8080:80"), "127.0.0.1:8080 -> localhost:80");
  EXPECT_EQ(Parsed("8080:10.0.0.5:80"), "127.0.0.1:8080 -> 10.0.0.5:80");
  EXPECT_EQ(Parsed("127.0.0.2:8080:10.0.0.5:80"), "127.0.0.2:8080 -> 10.0.0.5:80");
  EXPECT_EQ(Parsed("[::1]:8080:[fd00::5]:80"), "[::1]:8080 -> [fd00::5]:80");
  EXPECT_EQ(Parsed("8080:[fd00::5]:80"), "127.0.0.1:8080 -> [fd00::5]:80");
}

TEST(ForwardSpec, UnixSocketsOnEitherSide) {
  EXPECT_EQ(Parsed("./a.sock:/run/b.sock"), "./a.sock -> /run/b.sock");
  EXPECT_EQ(Parsed("8080:/run/b.sock"), "127.0.0.1:8080 -> /run/b.sock");
  EXPECT_EQ(Parsed("127.0.0.1:8080:/run/b.sock"), "127.0.0.1:8080 -> /run/b.sock");
  EXPECT_EQ(Parsed("./a.sock:5432"), "./a.sock -> localhost:5432");
  EXPECT_EQ(Parsed("./a.sock:10.0.0.5:5432"), "./a.sock -> 10.0.0.5:5432");
}

TEST(ForwardSpec, MistakesAreNamed) {
  for (const char* text : {"", "x", "8080:", ":80", "8080:0", "65536:80", "8080:65536", "-1:80",
                           "./a.sock", "./a.sock:", "127.0.0.1:80", "::1:80:80", "[::1:80:80",
                           "8080:./b.sock", "1:2:3:4:5", "8080:h:/run/b.sock", "a:b:c", "80 :80"}) {
    EXPECT_TRUE(Parsed(text).starts_with("error: ")) << text << ": " << Parsed(text);
  }
}

TEST(ForwardSpec, TargetsAlone) {
  EXPECT_EQ(ParseForwardTarget("22")->Text(), "localhost:22");
  EXPECT_EQ(ParseForwardTarget("[::1]:22")->Text(), "[::1]:22");
  EXPECT_EQ(ParseForwardTarget("/run/b.sock")->Text(), "/run/b.sock");
  for (const char* text : {"", "b.sock", "0", "1:2:3", ":22", "./b"}) {
    EXPECT_FALSE(ParseForwardTarget(text)) << text;
  }
}

TEST(ForwardSpec, ParametersOfTheCall) {
  EXPECT_EQ(ForwardParams("vm", *ParseForwardTarget("22")),
            nlohmann::json({{"name", "vm"}, {"host", "localhost"}, {"port", 22}}));
  EXPECT_EQ(ForwardParams("vm", *ParseForwardTarget("/x")),
            nlohmann::json({{"name", "vm"}, {"path", "/x"}}));
}

}  // namespace
}  // namespace berth::cli
