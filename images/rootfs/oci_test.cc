// SPDX-License-Identifier: Apache-2.0
#include "images/rootfs/oci.h"

#include <gtest/gtest.h>

namespace berth::image {
namespace {

const std::string kHex(64, 'a');

std::string DescriptorText(const std::string& digest, const std::string& more = {}) {
  return R"({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 3, "digest": ")" +
         digest + "\"" + more + "}";
}

TEST(OciIndex, TagIsTheRefName) {
  const auto descriptors = ParseIndex(
      R"({"schemaVersion": 2, "manifests": [)" +
      DescriptorText("sha256:" + kHex,
                     R"(, "annotations": {"org.opencontainers.image.ref.name": "one"})") +
      "," +
      DescriptorText("sha256:" + std::string(64, 'b'),
                     R"(, "annotations": {"org.opencontainers.image.ref.name": "two"})") +
      "]}");
  ASSERT_TRUE(descriptors) << descriptors.error().Message();
  EXPECT_EQ(Choose(*descriptors, "two")->hex, std::string(64, 'b'));
  EXPECT_EQ(Choose(*descriptors, "three").error().errnum, ENOENT);
  const auto neither = Choose(*descriptors, "");
  ASSERT_FALSE(neither);
  EXPECT_NE(neither.error().detail.find("one, two"), std::string::npos) << neither.error().detail;
}

TEST(OciIndex, PlatformIsLinuxAmd64) {
  const auto descriptors =
      ParseIndex(R"({"manifests": [)" +
                 DescriptorText("sha256:" + kHex,
                                R"(, "platform": {"os": "linux", "architecture": "arm64"})") +
                 "," +
                 DescriptorText("sha256:" + std::string(64, 'c'),
                                R"(, "platform": {"os": "linux", "architecture": "amd64"})") +
                 "]}");
  ASSERT_TRUE(descriptors);
  EXPECT_EQ(Choose(*descriptors, "")->hex, std::string(64, 'c'));
}

TEST(OciIndex, DigestIsNoWayOut) {
  for (const std::string& digest :
       {std::string("sha256:../../../../etc/passwd"), "sha256:" + std::string(63, 'a'),
        "sha256:" + std::string(63, 'a') + "A", "sha512:" + std::string(128, 'a'), std::string()}) {
    const auto descriptors = ParseIndex(R"({"manifests": [)" + DescriptorText(digest) + "]}");
    ASSERT_FALSE(descriptors) << digest;
    EXPECT_NE(descriptors.error().detail.find("manifests[0].digest"), std::string::npos);
  }
}

TEST(OciManifest, NamesEveryMistake) {
  const auto manifest = ParseOciManifest(R"({"config": {"digest": 5}, "layers": [7]})");
  ASSERT_FALSE(manifest);
  EXPECT_NE(manifest.error().detail.find("config.digest"), std::string::npos);
  EXPECT_NE(manifest.error().detail.find("layers[0]"), std::string::npos);
}

std::string ConfigText(const std::string& config) {
  return R"({"os": "linux", "architecture": "amd64", "config": )" + config + "}";
}

TEST(OciConfig, ReadsWhatIsToBeRun) {
  const auto config = ParseOciConfig(ConfigText(
      R"({"Entrypoint": ["/bin/a"], "Cmd": ["b c"], "Env": ["A=1=2", "B="], "User":
      "u:g", "WorkingDir": "/w", "StopSignal": "SIGINT", "ExposedPorts": {"80/tcp": {}}})"));
  ASSERT_TRUE(config) << config.error().Message();
  EXPECT_EQ(config->entrypoint, std::vector<std::string>{"/bin/a"});
  EXPECT_EQ(config->cmd, std::vector<std::string>{"b c"});
  ASSERT_EQ(config->env.size(), 2U);
  EXPECT_EQ(config->env[0], (std::pair<std::string, std::string>{"A", "1=2"}));
  EXPECT_EQ(config->user, "u:g");
  EXPECT_TRUE(config->exposes_ports);
  EXPECT_FALSE(ParseOciConfig(ConfigText(R"({"Env": ["=x"]})")));
  EXPECT_FALSE(ParseOciConfig(ConfigText(R"({"Cmd": ["a\u0000b"]})")));
  EXPECT_TRUE(ParseOciConfig(ConfigText(R"({"Entrypoint": null, "Cmd": null})")));
}

TEST(OciConfig, RefusesOtherMachines) {
  const auto config = ParseOciConfig(R"({"os": "linux", "architecture": "arm64"})");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().errnum, ENOEXEC);
  EXPECT_NE(config.error().hint.find("--override-arch amd64"), std::string::npos);
  EXPECT_FALSE(ParseOciConfig(R"({"os": "windows", "architecture": "amd64"})"));
  EXPECT_FALSE(ParseOciConfig("{}"));
}

TEST(OciLayer, Whiteouts) {
  EXPECT_EQ(MarkOf("a/b")->kind, Mark::kNone);
  EXPECT_EQ(MarkOf("a/.wh.b")->kind, Mark::kWhiteout);
  EXPECT_EQ(MarkOf("a/.wh.b")->path, "a/b");
  EXPECT_EQ(MarkOf(".wh.b")->path, "b");
  EXPECT_EQ(MarkOf("a/.wh..wh..opq")->kind, Mark::kOpaque);
  EXPECT_EQ(MarkOf("a/.wh..wh..opq")->path, "a");
  EXPECT_EQ(MarkOf(".wh..wh..opq")->path, "");
  EXPECT_EQ(MarkOf("a/.wh..wh.plnk")->kind, Mark::kIgnored);
  EXPECT_EQ(MarkOf(".wh..wh.plnk/1.2")->kind, Mark::kIgnored);
  EXPECT_EQ(MarkOf("a.wh.b")->kind, Mark::kNone);
  for (const char* const bad : {".wh.", "a/.wh..", "a/.wh...", ".wh.a/b", "a/.wh.b/c"}) {
    EXPECT_FALSE(MarkOf(bad)) << bad;
  }
}

}  // namespace
}  // namespace berth::image
