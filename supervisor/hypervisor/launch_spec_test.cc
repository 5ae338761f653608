// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/launch_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth {
namespace {

LaunchSpec Example() {
  LaunchSpec spec;
  spec.vm = "demo";
  spec.cid = 3;
  spec.hypervisor = {"/usr/bin/qemu", "-x", "a b,c", "fd={shim-qmp-fd}"};
  spec.paths.dir = "/run/berth/vms/demo";
  spec.vsock = VsockDeviceArgs("/usr/bin/berth-vsock", spec.paths, 3);
  spec.launch_timeout = std::chrono::milliseconds(5);
  return spec;
}

TEST(LaunchSpec, SurvivesItsJson) {
  LaunchSpec spec = Example();
  auto parsed = ParseLaunchSpec(ToJsonText(spec));
  ASSERT_TRUE(parsed.has_value()) << parsed.error().Message();
  EXPECT_EQ(*parsed, spec);
  EXPECT_TRUE(parsed->HasQmp());
  EXPECT_TRUE(parsed->NeedsVsockDevice());
  spec.vsock.clear();
  spec.hypervisor = {"/bin/fc"};
  parsed = ParseLaunchSpec(ToJsonText(spec));
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(*parsed, spec);
  EXPECT_FALSE(parsed->HasQmp());
  EXPECT_FALSE(parsed->NeedsVsockDevice());
}

TEST(LaunchSpec, TellsEveryMistakeAtOnce) {
  const auto parsed = ParseLaunchSpec(
      R"({"hypervisor":{"argv":["qemu"]},"vsock":{"argv":[1]},"paths":{"dir":"x"},"cid":-1})");
  ASSERT_FALSE(parsed.has_value());
  for (const char* field :
       {"vm: is missing", "cid:", "hypervisor.argv:", "vsock.argv:", "paths.dir:"}) {
    EXPECT_THAT(parsed.error().detail, testing::HasSubstr(field));
  }
}

TEST(LaunchSpec, SocketPathsOfTheLongestDirectoryStillFit) {
  LaunchSpec spec = Example();
  spec.paths.dir = "/" + std::string(kMaxVmDirBytes - 1, 'x');
  EXPECT_EQ((spec.paths.VsockSocket() + "_4294967295").size(), kMaxSocketPathBytes);
  EXPECT_TRUE(ParseLaunchSpec(ToJsonText(spec)).has_value());
  spec.paths.dir += 'x';
  EXPECT_FALSE(ParseLaunchSpec(ToJsonText(spec)).has_value());
}

}  // namespace
}  // namespace berth
