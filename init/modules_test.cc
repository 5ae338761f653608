// SPDX-License-Identifier: Apache-2.0
#include "init/modules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::init {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kDep =
    "kernel/drivers/virtio/virtio_ring.ko:\n"
    "kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko\n"
    "kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio.ko "
    "kernel/drivers/virtio/virtio_ring.ko\n"
    "kernel/drivers/char/hw_random/virtio-rng.ko.xz: kernel/drivers/virtio/virtio.ko\n"
    "kernel/a.ko: kernel/b.ko\n"
    "kernel/b.ko: kernel/c.ko\n"
    "kernel/c.ko: kernel/a.ko\n"
    "kernel/self.ko: kernel/self.ko\n"
    "kernel/orphan.ko: kernel/gone.ko\n";

ModuleIndex Index() {
  auto index = ModuleIndex::Parse(kDep, "kernel/fs/ext4/ext4.ko\n");
  EXPECT_TRUE(index);
  return std::move(*index);
}

TEST(ModuleName, DropsFolderSuffixesAndDashes) {
  EXPECT_EQ(ModuleName("kernel/drivers/char/hw_random/virtio-rng.ko.xz"), "virtio_rng");
  EXPECT_EQ(ModuleName("erofs"), "erofs");
  EXPECT_EQ(ModuleName(""), "");
}

TEST(LoadOrder, PutsDependenciesFirstAndEachOnce) {
  EXPECT_THAT(*Index().LoadOrder("virtio_blk"),
              ElementsAre("kernel/drivers/virtio/virtio_ring.ko", "kernel/drivers/virtio/virtio.ko",
                          "kernel/drivers/block/virtio_blk.ko"));
}

TEST(LoadOrder, ReadsDashAndUnderscoreAlike) {
  EXPECT_EQ(Index().LoadOrder("virtio-rng")->back(),
            "kernel/drivers/char/hw_random/virtio-rng.ko.xz");
}

TEST(LoadOrder, IsEmptyForAModuleThatIsBuiltIn) {
  const auto order = Index().LoadOrder("ext4");
  ASSERT_TRUE(order);
  EXPECT_THAT(*order, IsEmpty());
}

TEST(LoadOrder, TellsAMissingModuleFromABuiltInOne) {
  const auto order = Index().LoadOrder("zfs");
  ASSERT_FALSE(order);
  EXPECT_EQ(order.error().errnum, ENOENT);
  EXPECT_THAT(order.error().detail, HasSubstr("zfs"));
}

TEST(LoadOrder, NamesACycle) {
  for (const char* name : {"a", "self"}) {
    const auto order = Index().LoadOrder(name);
    ASSERT_FALSE(order) << name;
    EXPECT_EQ(order.error().errnum, ELOOP);
    EXPECT_THAT(order.error().detail, HasSubstr(std::string("module ") + name));
  }
}

TEST(LoadOrder, NamesADependencyThatIsNotListed) {
  const auto order = Index().LoadOrder("orphan");
  ASSERT_FALSE(order);
  EXPECT_EQ(order.error().errnum, ENOENT);
  EXPECT_THAT(order.error().detail, HasSubstr("kernel/gone.ko"));
}

TEST(LoadOrder, RefusesAChainTooDeepForTheStack) {
  std::string dep;
  for (int i = 0; i < 1000; ++i) {
    dep += "m" + std::to_string(i) + ".ko: m" + std::to_string(i + 1) + ".ko\n";
  }
  dep += "m1000.ko:\n";
  const auto index = ModuleIndex::Parse(dep, "");
  ASSERT_TRUE(index);
  EXPECT_EQ(index->LoadOrder("m0").error().errnum, ELOOP);
  EXPECT_EQ(index->LoadOrder("m990")->size(), 11U);
}

TEST(ModuleIndex, IsBounded) {
  EXPECT_EQ(ModuleIndex::Parse(std::string(kMaxModulesDepBytes + 1, '\n'), "").error().errnum,
            EFBIG);
  std::string many;
  for (size_t i = 0; i <= kMaxModules; ++i) many += "m" + std::to_string(i) + ":\n";
  EXPECT_EQ(ModuleIndex::Parse(many, "").error().errnum, E2BIG);
}

TEST(ModuleIndex, SkipsLinesThatAreNone) {
  const auto index = ModuleIndex::Parse("\n\nnonsense\n:\nkernel/ok.ko:", "");
  ASSERT_TRUE(index);
  EXPECT_THAT(*index->LoadOrder("ok"), ElementsAre("kernel/ok.ko"));
  EXPECT_FALSE(index->LoadOrder(""));
  EXPECT_FALSE(index->LoadOrder("nonsense"));
}

TEST(ModulesLoad, ReadsNamesConditionsAndComments) {
  const auto rows = ParseModulesLoad(
      "# bus\n"
      "virtio_mmio when=/sys/bus/acpi/devices/LNRO0005:00\n"
      "\n"
      "vmw_vsock_virtio_transport # always\n"
      "virtio-rng\twhen=virtio:4");
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), 3U);
  EXPECT_EQ((*rows)[0].name, "virtio_mmio");
  EXPECT_EQ((*rows)[0].when, ModuleRow::When::kPathExists);
  EXPECT_EQ((*rows)[0].path, "/sys/bus/acpi/devices/LNRO0005:00");
  EXPECT_EQ((*rows)[1].when, ModuleRow::When::kAlways);
  EXPECT_EQ((*rows)[2].name, "virtio_rng");
  EXPECT_EQ((*rows)[2].when, ModuleRow::When::kVirtioDevice);
  EXPECT_EQ((*rows)[2].virtio, 4U);
}

TEST(ModulesLoad, NamesTheLineOfAMistake) {
  for (const char* bad : {"ok\nx when=virtio:", "ok\nx when=virtio:4b", "ok\nx if=/y",
                          "ok\nx when=y", "ok\nx when=/y z"}) {
    const auto rows = ParseModulesLoad(bad);
    ASSERT_FALSE(rows) << bad;
    EXPECT_THAT(rows.error().detail, HasSubstr("line 2")) << bad;
  }
}

}  // namespace
}  // namespace berth::init
