// SPDX-License-Identifier: Apache-2.0
//
// The device's side of a split ring against a driver that behaves, and one that does not.
#include "supervisor/vsock/virtqueue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "supervisor/vsock/fake_driver.h"

namespace berth::vsock {
namespace {

using Popped = Virtqueue::Popped;
using Desc = FakeDriver::Descriptor;

class VirtqueueTest : public ::testing::Test {
 protected:
  Virtqueue Make(bool event_idx = true, bool indirect = true, uint16_t base = 0) {
    driver_ = std::make_unique<FakeDriver>(event_idx, indirect);
    driver_->available_index(kTxRing) = base;
    driver_->used_index(kTxRing) = base;
    memory_ = driver_->Memory();
    auto queue = Virtqueue::Create(&memory_, driver_->LayoutOf(kTxRing), base);
    EXPECT_TRUE(queue) << queue.error().Message();
    return *queue;
  }
  Desc& At(size_t index) { return driver_->descriptor(kTxRing, index); }
  void Offer(uint16_t head) {
    uint16_t& index = driver_->available_index(kTxRing);
    driver_->available_entry(kTxRing, index % FakeDriver::kQueueSize) = head;
    ++index;
  }

  std::unique_ptr<FakeDriver> driver_;
  GuestMemory memory_;
  Chain chain_;
};

constexpr uint64_t kBuffer = FakeDriver::kRamAddress + 0x40000;

TEST_F(VirtqueueTest, PopGivesReadableAndWritablePartsInOrder) {
  Virtqueue queue = Make();
  At(3) = {kBuffer, 44, FakeDriver::kNext, 7};
  At(7) = {kBuffer + 0x1000, 100, FakeDriver::kNext, 1};
  At(1) = {kBuffer + 0x2000, 200, FakeDriver::kWrite, 0};
  Offer(3);
  ASSERT_EQ(queue.Pop(&chain_), Popped::kChain);
  EXPECT_EQ(chain_.head(), 3);
  ASSERT_EQ(chain_.readable().size(), 2U);
  EXPECT_EQ(chain_.readable()[0].iov_base, driver_->At(kBuffer));
  EXPECT_EQ(chain_.readable()[1].iov_len, 100U);
  ASSERT_EQ(chain_.writable().size(), 1U);
  EXPECT_EQ(chain_.writable()[0].iov_base, driver_->At(kBuffer + 0x2000));
  EXPECT_EQ(chain_.writable()[0].iov_len, 200U);
  EXPECT_EQ(queue.Pop(&chain_), Popped::kEmpty);
}

TEST_F(VirtqueueTest, PopFollowsAnIndirectTable) {
  Virtqueue queue = Make();
  // Write-only on the descriptor of a table is to be ignored (virtio 1.2, 2.7.5.3.2).
  At(0) = {driver_->IndirectAddress(kTxRing, 5), 32, FakeDriver::kIndirect | FakeDriver::kWrite, 0};
  driver_->indirect(kTxRing, 5, 0) = {kBuffer, 44, FakeDriver::kNext, 1};
  driver_->indirect(kTxRing, 5, 1) = {kBuffer + 44, 9, 0, 0};
  Offer(0);
  ASSERT_EQ(queue.Pop(&chain_), Popped::kChain);
  ASSERT_EQ(chain_.readable().size(), 2U);
  EXPECT_EQ(chain_.readable()[1].iov_len, 9U);
}

TEST_F(VirtqueueTest, UndoPopGivesTheSameChainAgain) {
  Virtqueue queue = Make();
  At(0) = {kBuffer, 44, 0, 0};
  At(1) = {kBuffer, 45, 0, 0};
  Offer(0);
  Offer(1);
  ASSERT_EQ(queue.Pop(&chain_), Popped::kChain);
  queue.UndoPop();
  ASSERT_EQ(queue.Pop(&chain_), Popped::kChain);
  EXPECT_EQ(chain_.head(), 0);
  ASSERT_EQ(queue.Pop(&chain_), Popped::kChain);
  EXPECT_EQ(chain_.head(), 1);
  EXPECT_EQ(queue.base(), 2);
}

TEST_F(VirtqueueTest, IndicesWrapAt65536) {
  Virtqueue queue = Make(true, true, 0xfffe);
  for (uint16_t i = 0; i < 4; ++i) {
    At(i) = {kBuffer, 44, 0, 0};
    Offer(i);
  }
  for (uint16_t i = 0; i < 4; ++i) {
    ASSERT_EQ(queue.Pop(&chain_), Popped::kChain);
    EXPECT_EQ(chain_.head(), i);
    queue.Push(chain_.head(), i);
  }
  EXPECT_EQ(queue.Pop(&chain_), Popped::kEmpty);
  EXPECT_EQ(driver_->used_index(kTxRing), 2);
  EXPECT_EQ(driver_->used_element(kTxRing, 0xffff % FakeDriver::kQueueSize).head, 1U);
  EXPECT_EQ(driver_->used_element(kTxRing, 1).bytes, 3U);
}

TEST_F(VirtqueueTest, InterruptIsDueOnlyPastTheUsedEvent) {
  Virtqueue queue = Make();
  EXPECT_FALSE(queue.InterruptDue()) << "nothing was pushed";
  queue.Push(0, 0);
  EXPECT_TRUE(queue.InterruptDue()) << "the first is always due";
  EXPECT_FALSE(queue.InterruptDue());
  driver_->used_event(kTxRing) = 3;
  queue.Push(0, 0);
  queue.Push(0, 0);
  EXPECT_FALSE(queue.InterruptDue()) << "used index is 3, the driver waits for entry 3";
  queue.Push(0, 0);
  EXPECT_TRUE(queue.InterruptDue());
}

TEST_F(VirtqueueTest, InterruptObeysTheFlagWithoutEventIdx) {
  Virtqueue queue = Make(false);
  driver_->available_flags(kTxRing) = 1;
  queue.Push(0, 0);
  EXPECT_FALSE(queue.InterruptDue());
  driver_->available_flags(kTxRing) = 0;
  queue.Push(0, 0);
  EXPECT_TRUE(queue.InterruptDue());
}

TEST_F(VirtqueueTest, ArmKicksAsksForTheNextChainAndSeesOneThatCameMeanwhile) {
  Virtqueue queue = Make();
  At(0) = {kBuffer, 44, 0, 0};
  Offer(0);
  ASSERT_EQ(queue.Pop(&chain_), Popped::kChain);
  EXPECT_TRUE(queue.ArmKicks());
  EXPECT_EQ(driver_->available_event(kTxRing), 1);
  Offer(0);
  EXPECT_FALSE(queue.ArmKicks());
}

TEST_F(VirtqueueTest, KicksAreSuppressedByFlagWithoutEventIdx) {
  Virtqueue queue = Make(false);
  queue.SuppressKicks();
  EXPECT_EQ(driver_->used_flags(kTxRing), 1);
  EXPECT_TRUE(queue.ArmKicks());
  EXPECT_EQ(driver_->used_flags(kTxRing), 0);
}

TEST_F(VirtqueueTest, EmptyBuffersCountForNothing) {
  Virtqueue queue = Make();
  At(0) = {0, 0, FakeDriver::kNext, 1};
  At(1) = {kBuffer, 44, 0, 0};
  Offer(0);
  ASSERT_EQ(queue.Pop(&chain_), Popped::kChain);
  EXPECT_EQ(chain_.readable().size(), 1U);
}

TEST_F(VirtqueueTest, ABufferOverTwoRegionsIsTwoParts) {
  const size_t page = 4096;
  std::vector<UniqueFd> fds;
  std::vector<RegionSpec> regions;
  for (uint64_t i = 0; i < 2; ++i) {
    fds.emplace_back(memfd_create("region", MFD_CLOEXEC));
    ASSERT_EQ(ftruncate(fds.back().get(), 4 * page), 0);
    // Side by side for the guest, apart in the hypervisor.
    regions.push_back({0x10000 + i * 4 * page, 4 * page, 0x7000000 + i * 0x100000, 0});
  }
  auto memory = GuestMemory::Map(regions, fds);
  ASSERT_TRUE(memory) << memory.error().Message();
  const Virtqueue::Layout layout{.size = 8,
                                 .descriptors = 0x7000000,
                                 .available = 0x7000000 + 0x200,
                                 .used = 0x7000000 + 0x400,
                                 .event_idx = true,
                                 .indirect = true};
  auto queue = Virtqueue::Create(&*memory, layout, 0);
  ASSERT_TRUE(queue) << queue.error().Message();
  const Desc descriptor{0x10000 + 4 * page - 100, 300, 0, 0};
  std::memcpy(memory->At(0x10000, 16), &descriptor, sizeof(descriptor));
  const uint16_t one = 1;
  std::memcpy(memory->At(0x10202, 2), &one, sizeof(one));
  ASSERT_EQ(queue->Pop(&chain_), Popped::kChain);
  ASSERT_EQ(chain_.readable().size(), 2U);
  EXPECT_EQ(chain_.readable()[0].iov_len, 100U);
  EXPECT_EQ(chain_.readable()[1].iov_len, 200U);
  EXPECT_EQ(chain_.readable()[1].iov_base, memory->At(0x10000 + 4 * page, 1));
}

struct Hostile {
  const char* name;
  const char* reason;
  std::function<void(FakeDriver&)> act;  // after which head 0 is offered
};

class HostileRingTest : public VirtqueueTest, public ::testing::WithParamInterface<Hostile> {};

TEST_P(HostileRingTest, BreaksTheQueueAndNothingElse) {
  Virtqueue queue = Make();
  Offer(0);
  GetParam().act(*driver_);
  EXPECT_EQ(queue.Pop(&chain_), Popped::kBroken);
  ASSERT_NE(queue.broken(), nullptr);
  EXPECT_STREQ(queue.broken(), GetParam().reason);
  // For good: not even a chain that is well-formed is taken from it.
  At(0) = {kBuffer, 44, 0, 0};
  EXPECT_EQ(queue.Pop(&chain_), Popped::kBroken);
}

constexpr uint16_t kNext = FakeDriver::kNext;
constexpr uint16_t kWrite = FakeDriver::kWrite;
constexpr uint16_t kIndirect = FakeDriver::kIndirect;
constexpr uint64_t kRamEnd = FakeDriver::kRamAddress + FakeDriver::kRamBytes;

INSTANTIATE_TEST_SUITE_P(
    All, HostileRingTest,
    ::testing::Values(
        Hostile{"AvailableIndexTooFar",
                "the available index is further ahead than the ring is long",
                [](FakeDriver& d) { d.available_index(kTxRing) = FakeDriver::kQueueSize + 1; }},
        Hostile{"HeadOutside", "a chain starts outside of the descriptor table",
                [](FakeDriver& d) { d.available_entry(kTxRing, 0) = FakeDriver::kQueueSize; }},
        Hostile{"NextOutside", "a chain leaves the descriptor table",
                [](FakeDriver& d) {
                  d.descriptor(kTxRing, 0) = {kBuffer, 1, kNext, FakeDriver::kQueueSize};
                }},
        Hostile{"SelfLoop", "a chain that loops, or is longer than its ring",
                [](FakeDriver& d) { d.descriptor(kTxRing, 0) = {kBuffer, 0, kNext, 0}; }},
        Hostile{"TwoLoop", "a chain that loops, or is longer than its ring",
                [](FakeDriver& d) {
                  d.descriptor(kTxRing, 0) = {kBuffer, 0, kNext, 1};
                  d.descriptor(kTxRing, 1) = {kBuffer, 1, kNext, 0};
                }},
        Hostile{"BufferBelowRam", "a buffer outside of guest memory",
                [](FakeDriver& d) { d.descriptor(kTxRing, 0) = {0x10, 44, 0, 0}; }},
        Hostile{"BufferEndsPastRam", "a buffer outside of guest memory",
                [](FakeDriver& d) { d.descriptor(kTxRing, 0) = {kRamEnd - 1, 2, 0, 0}; }},
        Hostile{"BufferWrapsAddressSpace", "a buffer outside of guest memory",
                [](FakeDriver& d) { d.descriptor(kTxRing, 0) = {~0ULL - 3, 44, 0, 0}; }},
        Hostile{"BufferOfFourGigabytes", "a buffer outside of guest memory",
                [](FakeDriver& d) { d.descriptor(kTxRing, 0) = {kBuffer, 0xffffffff, 0, 0}; }},
        Hostile{"ReadableBehindWritable", "a readable buffer behind a writable one",
                [](FakeDriver& d) {
                  d.descriptor(kTxRing, 0) = {kBuffer, 1, kNext | kWrite, 1};
                  d.descriptor(kTxRing, 1) = {kBuffer, 1, 0, 0};
                }},
        Hostile{"IndirectWithNext", "a bad indirect descriptor",
                [](FakeDriver& d) {
                  d.descriptor(kTxRing, 0) = {d.IndirectAddress(kTxRing, 0), 16, kIndirect | kNext,
                                              1};
                }},
        Hostile{"IndirectOfOddLength", "a bad indirect descriptor",
                [](FakeDriver& d) {
                  d.descriptor(kTxRing, 0) = {d.IndirectAddress(kTxRing, 0), 17, kIndirect, 0};
                }},
        Hostile{"IndirectOfNothing", "a bad indirect descriptor",
                [](FakeDriver& d) {
                  d.descriptor(kTxRing, 0) = {d.IndirectAddress(kTxRing, 0), 0, kIndirect, 0};
                }},
        Hostile{"IndirectOutside", "an indirect table outside of guest memory",
                [](FakeDriver& d) { d.descriptor(kTxRing, 0) = {kRamEnd - 16, 32, kIndirect, 0}; }},
        Hostile{"IndirectInIndirect", "indirect where it is not allowed",
                [](FakeDriver& d) {
                  const uint64_t table = d.IndirectAddress(kTxRing, 0);
                  d.descriptor(kTxRing, 0) = {table, 16, kIndirect, 0};
                  d.indirect(kTxRing, 0, 0) = {table, 16, kIndirect, 0};
                }},
        Hostile{"IndirectNextOutside", "a chain leaves the descriptor table",
                [](FakeDriver& d) {
                  d.descriptor(kTxRing, 0) = {d.IndirectAddress(kTxRing, 0), 16, kIndirect, 0};
                  d.indirect(kTxRing, 0, 0) = {kBuffer, 1, kNext, 1};
                }},
        Hostile{"IndirectOfManyEmptyBuffers", "a chain that loops, or is longer than its ring",
                [](FakeDriver& d) {
                  constexpr uint16_t kEntries = 2 * FakeDriver::kQueueSize;
                  d.descriptor(kTxRing, 0) = {kBuffer, kEntries * 16, kIndirect, 0};
                  for (uint16_t i = 0; i < kEntries; ++i) {
                    const uint16_t flags = i + 1 < kEntries ? kNext : uint16_t{0};
                    const Desc entry{kBuffer, 0, flags, static_cast<uint16_t>(i + 1)};
                    std::memcpy(d.At(kBuffer + i * 16U), &entry, sizeof(entry));
                  }
                }},
        Hostile{"IndirectOfTooMany", "a chain of too many buffers",
                [](FakeDriver& d) {
                  d.descriptor(kTxRing, 0) = {kBuffer, 65 * 16, kIndirect, 0};
                  for (uint16_t i = 0; i < 65; ++i) {
                    const Desc entry{kBuffer, 1, kNext, static_cast<uint16_t>(i + 1)};
                    std::memcpy(d.At(kBuffer + i * 16U), &entry, sizeof(entry));
                  }
                }}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST_F(VirtqueueTest, IndirectIsRefusedWhereItWasNotNegotiated) {
  Virtqueue queue = Make(true, false);
  At(0) = {driver_->IndirectAddress(kTxRing, 0), 16, kIndirect, 0};
  driver_->indirect(kTxRing, 0, 0) = {kBuffer, 1, 0, 0};
  Offer(0);
  EXPECT_EQ(queue.Pop(&chain_), Popped::kBroken);
}

TEST_F(VirtqueueTest, CreateRefusesBadLayouts) {
  FakeDriver driver(true, true);
  const GuestMemory memory = driver.Memory();
  const Virtqueue::Layout good = driver.LayoutOf(kRxRing);
  ASSERT_TRUE(Virtqueue::Create(&memory, good, 0));
  const auto refused = [&](auto change) {
    Virtqueue::Layout layout = good;
    change(layout);
    return !Virtqueue::Create(&memory, layout, 0).has_value();
  };
  EXPECT_TRUE(refused([](auto& l) { l.size = 0; }));
  EXPECT_TRUE(refused([](auto& l) { l.size = 48; }));
  EXPECT_TRUE(refused([](auto& l) { l.size = 2 * kMaxQueueSize; }));
  EXPECT_TRUE(refused([](auto& l) { l.descriptors += 8; }));
  EXPECT_TRUE(refused([](auto& l) { l.available += 1; }));
  EXPECT_TRUE(refused([](auto& l) { l.used += 2; }));
  constexpr uint64_t kSize = FakeDriver::kQueueSize;
  // The last byte of each area must be inside: two event-index bytes end the rings.
  EXPECT_TRUE(refused([](auto& l) { l.descriptors = kRamEnd - 16 * (kSize - 1); }));
  EXPECT_TRUE(refused([](auto& l) { l.available = kRamEnd - (4 + 2 * kSize); }));
  EXPECT_TRUE(refused([](auto& l) { l.used = kRamEnd - (4 + 8 * kSize); }));
  EXPECT_FALSE(refused([](auto& l) { l.available = kRamEnd - (4 + 2 * kSize + 2); }));
}

}  // namespace
}  // namespace berth::vsock
