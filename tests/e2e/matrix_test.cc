// SPDX-License-Identifier: Apache-2.0
//
// Each source of an image × each format × each kernel: `berth image build` makes it, it boots to
// Running and runs a command. The sources are those of tests/e2e/images/sources.
#include <gtest/gtest.h>

#include <tuple>

#include "tests/e2e/host.h"

namespace berth::e2e {
namespace {

struct SourceCase {
  const char* name;
  const char* prefix;  // of what --from takes
  const char* path;
  const char* says;  // /etc/source in it
};
void PrintTo(const SourceCase& source, std::ostream* out) { *out << source.name; }
constexpr SourceCase kSources[] = {
    {"dir", "", "/tree", "from a directory\n"},
    {"tar", "", "/tree.tar", "from a tar\n"},
    {"oci", "oci:", "/oci", "from an OCI image\n"},
};
constexpr std::string_view kFormats[] = {"erofs", "ext4", "squashfs", "initramfs"};
constexpr std::string_view kKernels[] = {"stock", "own"};

using Case = std::tuple<SourceCase, std::string_view, std::string_view>;

class Matrix : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Image, Matrix,
                         testing::Combine(testing::ValuesIn(kSources), testing::ValuesIn(kFormats),
                                          testing::ValuesIn(kKernels)),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param).name) + "_" +
                                  std::string(std::get<1>(info.param)) + "_" +
                                  std::string(std::get<2>(info.param));
                         });

TEST_P(Matrix, BootsAndRunsACommand) {
  const auto& [source, format, kernel_name] = GetParam();
  const std::string sources = Image("sources");
  const std::string kernel = sources + "/kernel-" + std::string(kernel_name);
  Host host;
  const std::string image = host.dir() + "/image";
  const Outcome built =
      host.Berth({"image", "build", "--from", source.prefix + sources + source.path, "--format",
                  std::string(format), "--kernel", kernel + "/vmlinuz", "--modules",
                  kernel + "/lib/modules", "--init", GuestBinDir() + "/berth-init", "--agent",
                  GuestBinDir() + "/berth-agent", "-o", image});
  ASSERT_EQ(built.code, 0) << built;
  host.Up("vm", image);
  EXPECT_EQ(host.State("vm"), "Running");
  const Outcome outcome = host.Berth({"exec", "vm", "--", "sh", "-c",
                                      "cat /etc/source; uname -r; ls -d /etc/hostname; "
                                      "echo x >/etc/written && cat /etc/written"});
  EXPECT_TRUE(outcome.out.starts_with(source.says)) << outcome;
  EXPECT_EQ(outcome.out.contains("-berth\n"), kernel_name == "own") << outcome;
  EXPECT_TRUE(outcome.out.ends_with("x\n")) << outcome;
  const bool oci = std::string_view(source.name) == "oci";
  // A layer's whiteout took it away.
  EXPECT_EQ(outcome.out.contains("/etc/hostname\n"), !oci) << outcome;
  if (!oci) return;
  // ENTRYPOINT, CMD, ENV, USER and WORKDIR are the main service's.
  const Outcome main =
      host.Berth({"exec", "vm", "--", "sh", "-c",
                  "until pid=$(pidof sleep); do usleep 50000; done; stat -c %U /proc/$pid; "
                  "readlink /proc/$pid/cwd; tr '\\0' '\\n' </proc/$pid/environ | grep GREETING"});
  EXPECT_EQ(main.out, "berth\n/tmp\nGREETING=hello\n") << main;
}

}  // namespace
}  // namespace berth::e2e
