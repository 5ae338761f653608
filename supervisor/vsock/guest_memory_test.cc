// SPDX-License-Identifier: Apache-2.0
#include "supervisor/vsock/guest_memory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "supervisor/vsock/limits.h"

namespace berth::vsock {
namespace {

constexpr uint64_t kPage = 4096;

UniqueFd File(uint64_t bytes) {
  UniqueFd fd(memfd_create("guest", MFD_CLOEXEC));
  EXPECT_EQ(ftruncate(fd.get(), static_cast<off_t>(bytes)), 0);
  return fd;
}

Result<GuestMemory> MapOne(const RegionSpec& spec, uint64_t file_bytes) {
  std::vector<UniqueFd> fds;
  fds.push_back(File(file_bytes));
  return GuestMemory::Map(std::span(&spec, 1), fds);
}

TEST(GuestMemoryTest, ReachesARegionByBothAddressesAtItsOffset) {
  std::vector<UniqueFd> fds;
  fds.push_back(File(4 * kPage));
  ASSERT_EQ(pwrite(fds[0].get(), "here", 4, kPage + 10), 4);
  const RegionSpec spec{0x40000000, 2 * kPage, 0x7f0000000000, kPage};
  const auto memory = GuestMemory::Map(std::span(&spec, 1), fds);
  ASSERT_TRUE(memory) << memory.error().Message();
  EXPECT_EQ(std::memcmp(memory->At(0x4000000a, 4), "here", 4), 0);
  EXPECT_EQ(memory->AtUser(0x7f000000000a, 4), memory->At(0x4000000a, 4));
}

TEST(GuestMemoryTest, NothingOutsideOfARegionIsReached) {
  const auto memory = MapOne({0x40000000, kPage, 0x7f0000000000, 0}, kPage);
  ASSERT_TRUE(memory);
  EXPECT_NE(memory->At(0x40000000, kPage), nullptr);
  EXPECT_EQ(memory->At(0x40000000, kPage + 1), nullptr);
  EXPECT_EQ(memory->At(0x3fffffff, 2), nullptr);
  EXPECT_EQ(memory->At(0x40000000 + kPage, 1), nullptr);
  EXPECT_EQ(memory->At(0x40000001, ~0ULL), nullptr);
  EXPECT_EQ(memory->At(~0ULL, 2), nullptr);
  EXPECT_EQ(memory->AtUser(0x40000000, 1), nullptr)
      << "a guest address is none of the hypervisor's";
  EXPECT_EQ(memory->AtUser(0x7f0000000000, kPage + 1), nullptr);
  EXPECT_EQ(memory->AtUser(0x7f0000000001, ~0ULL), nullptr);
  EXPECT_EQ(memory->Run(0x40000000 + kPage - 1, 100).size(), 1U);
}

TEST(GuestMemoryTest, RefusesAFileShorterThanItsRegion) {
  // Touching what is behind the end of the file would be SIGBUS.
  EXPECT_FALSE(MapOne({0, 2 * kPage, 0x1000, 0}, kPage));
  EXPECT_FALSE(MapOne({0, kPage, 0x1000, 1}, kPage));
  EXPECT_TRUE(MapOne({0, kPage, 0x1000, 0}, kPage));
}

TEST(GuestMemoryTest, RefusesRegionsThatWrap) {
  EXPECT_FALSE(MapOne({~0ULL - 10, kPage, 0x1000, 0}, kPage));
  EXPECT_FALSE(MapOne({0, kPage, ~0ULL - 10, 0}, kPage));
  EXPECT_FALSE(MapOne({0, kPage, 0x1000, ~0ULL - 10}, kPage));
  EXPECT_FALSE(MapOne({0, 0, 0x1000, 0}, kPage));
}

TEST(GuestMemoryTest, RefusesRegionsThatOverlapAndTooMany) {
  std::vector<UniqueFd> fds;
  std::vector<RegionSpec> specs;
  for (uint64_t i = 0; i <= kMaxMemoryRegions; ++i) {
    fds.push_back(File(kPage));
    specs.push_back({i * kPage, kPage, 0x10000000 + i * kPage, 0});
  }
  EXPECT_FALSE(GuestMemory::Map(specs, fds));
  specs.pop_back();
  EXPECT_FALSE(GuestMemory::Map(specs, fds)) << "as many descriptors as regions";
  fds.pop_back();
  EXPECT_TRUE(GuestMemory::Map(specs, fds));
  specs[3].guest_address = specs[2].guest_address + kPage - 1;
  EXPECT_FALSE(GuestMemory::Map(specs, fds));
  specs[3].guest_address = 0x100000;
  specs[3].user_address = specs[2].user_address + kPage - 1;
  EXPECT_FALSE(GuestMemory::Map(specs, fds));
}

TEST(GuestMemoryTest, RefusesWhatIsNoFile) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd other(ends[1]);
  std::vector<UniqueFd> fds;
  fds.emplace_back(ends[0]);
  const RegionSpec spec{0, kPage, 0x1000, 0};
  EXPECT_FALSE(GuestMemory::Map(std::span(&spec, 1), fds));
}

}  // namespace
}  // namespace berth::vsock
