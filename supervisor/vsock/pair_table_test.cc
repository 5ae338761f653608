// SPDX-License-Identifier: Apache-2.0
//
// What one device writes down, the next one finds.
#include "supervisor/vsock/pair_table.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vector>

namespace berth::vsock {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class PairTableTest : public ::testing::Test {
 protected:
  PairTable Next() {
    return PairTable::Map(UniqueFd(fcntl(memory_.get(), F_DUPFD_CLOEXEC, 0))).value();
  }
  static std::vector<Ports> Orphans(PairTable& table) {
    std::vector<Ports> orphans;
    while (const auto orphan = table.TakeOrphan()) orphans.push_back(*orphan);
    return orphans;
  }

  UniqueFd memory_{memfd_create("pairs", MFD_CLOEXEC)};
};

TEST_F(PairTableTest, APairHeldAtDeathIsAnOrphanOfTheNextDevice) {
  PairTable dead = Next();
  const PairTable::Hold open = dead.Add({.host = 1U << 30, .guest = 1023});
  const PairTable::Hold other = dead.Add({.host = ~0U, .guest = ~0U});
  dead.Add({.host = 1, .guest = 2});  // closed at once
  PairTable next = Next();
  EXPECT_TRUE(next.HasOrphan());
  EXPECT_THAT(Orphans(next), UnorderedElementsAre(Ports{.host = 1U << 30, .guest = 1023},
                                                  Ports{.host = ~0U, .guest = ~0U}));
  EXPECT_FALSE(next.HasOrphan());
}

TEST_F(PairTableTest, WhatADeviceHadNotResetYetIsLeftToTheOneAfter) {
  PairTable first = Next();
  const PairTable::Hold one = first.Add({.host = 1, .guest = 1});
  const PairTable::Hold two = first.Add({.host = 2, .guest = 2});
  PairTable second = Next();
  const Ports done = second.TakeOrphan().value();
  PairTable third = Next();
  const std::vector<Ports> rest = Orphans(third);
  ASSERT_EQ(rest.size(), 1U);
  EXPECT_NE(rest[0], done);
}

TEST_F(PairTableTest, ForgottenOrphansAreGoneForGood) {
  PairTable dead = Next();
  const PairTable::Hold open = dead.Add({.host = 1, .guest = 1});
  PairTable next = Next();
  next.ForgetOrphans();
  EXPECT_FALSE(next.HasOrphan());
  PairTable after = Next();
  EXPECT_THAT(Orphans(after), IsEmpty());
}

TEST_F(PairTableTest, TakesEveryConnectionBesideAsManyOrphans) {
  PairTable dead = Next();
  std::vector<PairTable::Hold> held;
  for (uint32_t i = 1; i <= kMaxConnections; ++i) held.push_back(dead.Add({.host = 1, .guest = i}));
  PairTable next = Next();
  std::vector<PairTable::Hold> more;
  for (uint32_t i = 1; i <= kMaxConnections; ++i) more.push_back(next.Add({.host = 2, .guest = i}));
  PairTable after = Next();
  EXPECT_EQ(Orphans(after).size(), 2 * kMaxConnections);
}

TEST_F(PairTableTest, AFullTableForgetsOnlyWhatIsNew) {
  PairTable full = Next();
  std::vector<PairTable::Hold> held;
  for (uint32_t i = 1; i <= PairTable::kSlots; ++i)
    held.push_back(full.Add({.host = 1, .guest = i}));
  {
    const PairTable::Hold unnoted = full.Add({.host = 3, .guest = 3});
  }
  held.pop_back();
  const PairTable::Hold noted = full.Add({.host = 4, .guest = 4});
  PairTable next = Next();
  EXPECT_EQ(Orphans(next).size(), PairTable::kSlots);
}

TEST_F(PairTableTest, MemoryOfAnotherSizeIsANewTable) {
  const uint64_t other = 7;
  ASSERT_EQ(write(memory_.get(), &other, sizeof(other)), static_cast<ssize_t>(sizeof(other)));
  PairTable table = Next();
  EXPECT_THAT(Orphans(table), IsEmpty());
}

TEST_F(PairTableTest, MemoryThatCannotBeWrittenIsAnError) {
  const auto table = PairTable::Map(UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC)));
  ASSERT_FALSE(table);
  EXPECT_EQ(table.error().step, Step("pair-table"));
}

}  // namespace
}  // namespace berth::vsock
