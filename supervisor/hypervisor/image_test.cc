// SPDX-License-Identifier: Apache-2.0
#include "supervisor/hypervisor/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "supervisor/hypervisor/temp_dir.h"

namespace berth {
namespace {

using testing::HasSubstr;

std::string FakeBzImage() {
  std::string kernel(0x400, '\0');
  kernel.replace(0x1fe, 2, "\x55\xaa");
  kernel.replace(0x202, 4, "HdrS");
  return kernel;
}

constexpr const char* kSha256OfAbc =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

class ImageTest : public testing::Test {
 protected:
  ImageTest() {
    dir_.Put("vmlinuz", FakeBzImage());
    dir_.Put("sub/initrd.img", "abc");
    dir_.Put("rootfs.erofs", "erofs");
    Describe(R"({"format":1,"name":"demo","kernel":"vmlinuz","initrd":"sub/initrd.img",
                 "cmdline":"quiet","disks":[{"path":"rootfs.erofs","read_only":true}],
                 "sha256":{"sub/initrd.img":")" +
             std::string(kSha256OfAbc) + "\"}}");
  }
  void Describe(const std::string& text) { dir_.Put("image.json", text); }
  Error LoadError() {
    const auto image = LoadImage(dir_.path());
    EXPECT_FALSE(image.has_value());
    return image ? Error{"none", 0, "", ""} : image.error();
  }

  TempDir dir_;
};

TEST_F(ImageTest, LoadsAndVerifies) {
  const auto image = LoadImage(dir_.path());
  ASSERT_TRUE(image.has_value()) << image.error().Message();
  EXPECT_EQ(image->kernel, dir_.path() + "/vmlinuz");
  EXPECT_EQ(image->disks.at(0).path, dir_.path() + "/rootfs.erofs");
  EXPECT_TRUE(image->disks.at(0).read_only);
  EXPECT_TRUE(VerifyImage(*image).has_value());
}

TEST_F(ImageTest, DamagedFileFailsVerification) {
  dir_.Put("sub/initrd.img", "abd");
  const auto verified = VerifyImage(*LoadImage(dir_.path()));
  ASSERT_FALSE(verified.has_value());
  EXPECT_EQ(verified.error().step, Step("image-sha256"));
  EXPECT_THAT(verified.error().detail, HasSubstr("initrd.img"));
}

TEST_F(ImageTest, MissingDirectoryIsSaid) {
  const auto image = LoadImage(dir_.path() + "/nowhere");
  ASSERT_FALSE(image.has_value());
  EXPECT_EQ(image.error().errnum, ENOENT);
  EXPECT_EQ(image.error().step, Step("image"));
}

TEST_F(ImageTest, DirectoryWithoutImageJsonIsNoImage) {
  std::filesystem::remove(dir_.path() + "/image.json");
  EXPECT_THAT(LoadError().detail, HasSubstr("is not an image: it has no image.json"));
}

TEST_F(ImageTest, FileInPlaceOfADirectoryIsNoImage) {
  const auto image = LoadImage(dir_.path() + "/vmlinuz");
  ASSERT_FALSE(image.has_value());
  EXPECT_EQ(image.error().errnum, ENOTDIR);
}

TEST_F(ImageTest, BadImageJsonNamesEveryMistake) {
  Describe("no json");
  EXPECT_THAT(LoadError().detail, HasSubstr("not JSON"));
  Describe(R"({"format":2,"initrd":7,"disks":[{"format":"vmdk"}],"sha256":{"vmlinuz":"xyz"}})");
  const std::string detail = LoadError().detail;
  for (const char* field : {"format", "kernel: is missing", "initrd", "disks[0].format",
                            "disks[0].path: is missing", "sha256"}) {
    EXPECT_THAT(detail, HasSubstr(field));
  }
}

TEST_F(ImageTest, FileItNamesButDoesNotHoldIsSaid) {
  Describe(R"({"format":1,"kernel":"vmlinuz","initrd":"gone"})");
  const Error error = LoadError();
  EXPECT_EQ(error.step, Step("image-file"));
  EXPECT_EQ(error.errnum, ENOENT);
  EXPECT_THAT(error.detail, HasSubstr("/gone"));
}

TEST_F(ImageTest, FilesOutsideOfItAreRefused) {
  std::filesystem::create_symlink("/etc/passwd", dir_.path() + "/link");
  for (const char* name : {"../x", "/etc/passwd", "link", "sub/../../x"}) {
    Describe(R"({"format":1,"kernel":"vmlinuz","initrd":")" + std::string(name) + "\"}");
    EXPECT_EQ(LoadError().errnum, EXDEV) << name;
  }
}

TEST_F(ImageTest, KernelThatIsNoneIsRefused) {
  for (const std::string& content :
       {std::string("#!/bin/sh"), std::string(0x400, '\0'), std::string()}) {
    dir_.Put("vmlinuz", content);
    EXPECT_EQ(LoadError().step, Step("kernel"));
  }
}

TEST_F(ImageTest, ElfKernelIsTaken) {
  dir_.Put("vmlinuz",
           "\x7f"
           "ELF" +
               std::string(100, '\0'));
  EXPECT_TRUE(LoadImage(dir_.path()).has_value());
}

TEST_F(ImageTest, SpecGoesOverImage) {
  VmSpec spec;
  spec.image = dir_.path();
  spec.initrd = dir_.Put("own.img", "x");
  spec.cmdline = "debug";
  spec.disks = {{dir_.Put("data.raw", "x")}};
  const auto boot = ResolveBootFiles(spec);
  ASSERT_TRUE(boot.has_value()) << boot.error().Message();
  EXPECT_EQ(boot->kernel, dir_.path() + "/vmlinuz");
  EXPECT_EQ(boot->initrd, spec.initrd);
  EXPECT_EQ(boot->cmdline, "quiet debug");
  ASSERT_EQ(boot->disks.size(), 2U);
  EXPECT_EQ(boot->disks[1].path, spec.disks[0].path);
}

TEST_F(ImageTest, MissingFileOfTheSpecIsSaid) {
  VmSpec spec;
  spec.kernel = dir_.path() + "/vmlinuz";
  spec.disks = {{dir_.path() + "/gone.raw"}};
  const auto boot = ResolveBootFiles(spec);
  ASSERT_FALSE(boot.has_value());
  EXPECT_EQ(boot.error().step, Step("boot-file"));
  EXPECT_EQ(boot.error().errnum, ENOENT);
}

}  // namespace
}  // namespace berth
