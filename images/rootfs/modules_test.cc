// SPDX-License-Identifier: Apache-2.0
#include "images/rootfs/modules.h"

#include <gtest/gtest.h>

#include "supervisor/hypervisor/temp_dir.h"

namespace berth::image {
namespace {

constexpr const char* kDep =
    "kernel/a/vsock.ko: kernel/a/bus.ko\n"
    "kernel/a/disk.ko: kernel/a/bus.ko\n"
    "kernel/a/erofs.ko.xz:\n"
    "kernel/a/bus.ko:\n"
    "kernel/a/unwanted.ko:\n";
constexpr const char* kLoad = "# comment\nvsock\ndisk   when=virtio:2  # comment\n";

TEST(ChooseModules, TakesWhatIsAskedForWithWhatItNeeds) {
  const auto choice =
      ChooseModules(kDep, "kernel/fs/ext4/ext4.ko\nkernel/fs/proc/proc.ko\n", kLoad, {});
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->files, (std::vector<std::string>{"kernel/a/bus.ko", "kernel/a/vsock.ko",
                                                     "kernel/a/disk.ko", "kernel/a/erofs.ko.xz"}));
  EXPECT_EQ(choice->dep,
            "kernel/a/bus.ko:\nkernel/a/disk.ko: kernel/a/bus.ko\nkernel/a/erofs.ko:\n"
            "kernel/a/vsock.ko: kernel/a/bus.ko\n");
  EXPECT_EQ(choice->builtin, "kernel/fs/ext4/ext4.ko\n");
  EXPECT_EQ(choice->load, "vsock\ndisk when=virtio:2\n");
}

TEST(ChooseModules, LeavesOutWhatNeedsWhatIsLeftOut) {
  const auto choice = ChooseModules(kDep, "", kLoad, {"bus"});
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->files, std::vector<std::string>{"kernel/a/erofs.ko.xz"});
  EXPECT_EQ(choice->load, "");
}

TEST(ChooseModules, NamesWhatNoKernelModuleIs) {
  const auto choice = ChooseModules(kDep, "kernel/fs/ext4/ext4.ko\n",
                                    "vsock\next4\nvsok when=virtio:2\n", {"disk", "dsik"});
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->unknown_load, std::vector<std::string>{"vsok"});
  EXPECT_EQ(choice->unknown_without, std::vector<std::string>{"dsik"});
}

TEST(ChooseModules, EndsOnACycle) {
  const auto choice = ChooseModules("a.ko: b.ko\nb.ko: a.ko\n", "", "a\n", {});
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->files.size(), 2U);
}

TEST(StripSignature, CutsItAndNothingElse) {
  const std::string magic = "~Module signature appended~\n";
  const auto with_length = [&](char length) {
    return std::string("module") + "SIGNATURE" + std::string(11, '\0') + length + magic;
  };
  std::string module = with_length(9);
  StripSignature(module);
  EXPECT_EQ(module, "module");
  std::string plain = "module";
  StripSignature(plain);
  EXPECT_EQ(plain, "module");
  std::string lying = with_length('\x7f');
  const std::string before = lying;
  StripSignature(lying);
  EXPECT_EQ(lying, before);
}

TEST(FindModules, TakesTheKernelsOwnAndNoOther) {
  const TempDir dir;
  dir.Put("lib/modules/6.1/modules.dep", "");
  EXPECT_EQ(FindModules(dir.path(), "6.1")->release, "6.1");
  EXPECT_EQ(FindModules(dir.path() + "/lib/modules/6.1/", "6.1")->release, "6.1");
  EXPECT_EQ(FindModules(dir.path(), "")->release, "6.1");
  EXPECT_EQ(FindModules(dir.path(), "6.2").error().errnum, ENOENT);
  EXPECT_EQ(FindModules(dir.path() + "/lib/modules/6.1", "6.2").error().errnum, EINVAL);
  dir.Put("lib/modules/6.2/modules.dep", "");
  EXPECT_EQ(FindModules(dir.path() + "/lib/modules", "6.2")->release, "6.2");
  const auto unclear = FindModules(dir.path(), "");
  ASSERT_FALSE(unclear);
  EXPECT_EQ(unclear.error().errnum, EINVAL);
}

TEST(KernelRelease, IsInTheHeaderOfABzImage) {
  const TempDir dir;
  std::string kernel(0x300, '\0');
  kernel.replace(0x202, 4, "HdrS");
  kernel[0x20e] = 0x40;
  kernel.replace(0x240, 20, "6.1.0-test (builder)");
  EXPECT_EQ(KernelRelease(dir.Put("vmlinuz", kernel)).value(), "6.1.0-test");
  EXPECT_EQ(KernelRelease(dir.Put("other", "not a kernel")).value(), "");
  EXPECT_FALSE(KernelRelease(dir.path() + "/none"));
}

}  // namespace
}  // namespace berth::image
