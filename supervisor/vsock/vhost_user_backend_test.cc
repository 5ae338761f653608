// SPDX-License-Identifier: Apache-2.0
//
// The backend against a hypervisor that behaves as QEMU does, and one that does not: guest memory
// is a real memfd, kicks and calls are real eventfds.
#include "supervisor/vsock/vhost_user_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <vector>

#include "supervisor/vsock/fake_driver.h"
#include "supervisor/vsock/fake_frontend.h"
#include "supervisor/vsock/muxer.h"

namespace berth::vsock {
namespace {

constexpr uint64_t kCid = 77;
constexpr uint64_t kUserBase = 0x7f1200000000;

class VhostUserBackendTest : public ::testing::Test {
 protected:
  VhostUserBackendTest()
      : loop_(EventLoop::Create().value()),
        muxer_(
            loop_.get(), &pairs_, [](uint32_t) { return UniqueFd(); }, kCid, 0),
        device_(&muxer_),
        driver_(true, true),
        frontend_(UniqueFd()) {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    frontend_ = FakeFrontend(UniqueFd(fds[0]));
    backend_ = std::make_unique<VhostUserBackend>(loop_.get(), &device_, kCid, UniqueFd(fds[1]));
    EXPECT_TRUE(backend_->Start());
    memory_.Reset(memfd_create("ram", MFD_CLOEXEC));
    EXPECT_EQ(ftruncate(memory_.get(), FakeDriver::kRamBytes), 0);
    void* mapped =
        mmap(nullptr, FakeDriver::kRamBytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0);
    ram_ = static_cast<std::byte*>(mapped);
    for (UniqueFd* fd : {&kick_[0], &kick_[1], &call_[0], &call_[1]}) {
      fd->Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    }
  }
  ~VhostUserBackendTest() override { munmap(ram_, FakeDriver::kRamBytes); }

  void Turn() {
    ASSERT_TRUE(loop_->Poll(TimePoint()));
    device_.Work(std::chrono::steady_clock::now());
  }
  template <typename T>
  std::vector<std::byte> Ask(Request request, const T& payload) {
    frontend_.Send(request, payload);
    Turn();
    return frontend_.Reply().value_or(std::vector<std::byte>());
  }
  std::vector<std::byte> Ask(Request request) {
    frontend_.Send(request, std::span<const std::byte>());
    Turn();
    return frontend_.Reply().value_or(std::vector<std::byte>());
  }
  // Sends with NEED_REPLY; true where it was acknowledged with success.
  template <typename T>
  bool Acknowledged(Request request, const T& payload, std::vector<int> fds = {}) {
    frontend_.Send(request, payload, fds, true);
    Turn();
    const auto reply = frontend_.Reply();
    return reply && *reply == std::vector<std::byte>(8);
  }
  struct MemTable {
    MemTableHeader header{1, 0};
    RegionSpec region{FakeDriver::kRamAddress, FakeDriver::kRamBytes, kUserBase, 0};
  };

  // Everything between DRIVER_OK and a running device.
  void StartDevice(uint16_t rx_base = 0, uint16_t tx_base = 0) {
    frontend_.Send(Request::kSetFeatures, kDeviceFeatures);
    ASSERT_TRUE(Acknowledged(Request::kSetMemTable, MemTable(), {memory_.get()}));
    for (const uint32_t index : {kRxRing, kTxRing})
      StartRing(index, index == kRxRing ? rx_base : tx_base);
    Turn();
  }
  void StartRing(uint32_t index, uint16_t base) {
    const Virtqueue::Layout layout = driver_.LayoutOf(index);
    const uint64_t move = kUserBase - FakeDriver::kRamAddress;
    frontend_.Send(Request::kSetVringNum, VringState{index, layout.size});
    frontend_.Send(Request::kSetVringBase, VringState{index, base});
    frontend_.Send(Request::kSetVringAddr,
                   VringAddresses{index, 0, layout.descriptors + move, layout.used + move,
                                  layout.available + move, 0});
    const int kick[] = {kick_[index].get()};
    frontend_.Send(Request::kSetVringKick, uint64_t{index}, kick);
    frontend_.Send(Request::kSetVringEnable, VringState{index, 1});
    const int call[] = {call_[index].get()};
    frontend_.Send(Request::kSetVringCall, uint64_t{index}, call);
  }
  // The driver works on its own RAM; these carry it over to the shared one and back.
  void Publish() { std::memcpy(ram_, driver_.ram().data(), FakeDriver::kRamBytes); }
  void Fetch() { std::memcpy(driver_.ram().data(), ram_, FakeDriver::kRamBytes); }

  std::unique_ptr<EventLoop> loop_;
  PairTable pairs_ = PairTable::Map(UniqueFd()).value();
  Muxer muxer_;
  Device device_;
  FakeDriver driver_;
  FakeFrontend frontend_;
  std::unique_ptr<VhostUserBackend> backend_;
  UniqueFd memory_;
  std::byte* ram_ = nullptr;
  UniqueFd kick_[2];
  UniqueFd call_[2];
};

TEST_F(VhostUserBackendTest, OffersWhatQemuNeeds) {
  const auto features = Ask(Request::kGetFeatures);
  uint64_t value = 0;
  ASSERT_EQ(features.size(), sizeof(value));
  std::memcpy(&value, features.data(), sizeof(value));
  EXPECT_EQ(value, 1ULL << 32 | 1ULL << 30 | 1ULL << 29 | 1ULL << 28);
  const auto protocol = Ask(Request::kGetProtocolFeatures);
  ASSERT_EQ(protocol.size(), sizeof(value));
  std::memcpy(&value, protocol.data(), sizeof(value));
  EXPECT_EQ(value, 0x208U);
}

TEST_F(VhostUserBackendTest, ConfigIsTheCid) {
  struct {
    ConfigHeader header{0, 8, 0};
    uint64_t cid = 0;
  } __attribute__((packed)) ask;
  const auto reply = Ask(Request::kGetConfig, ask);
  ASSERT_EQ(reply.size(), sizeof(ask));
  std::memcpy(&ask, reply.data(), sizeof(ask));
  const uint64_t cid = ask.cid;  // a copy: the field is not aligned
  EXPECT_EQ(cid, kCid);
  ask.header.offset = 1;
  EXPECT_TRUE(Ask(Request::kGetConfig, ask).empty()) << "past the end of the configuration";
  ask.header = {0, 9, 0};
  EXPECT_TRUE(Ask(Request::kGetConfig, ask).empty());
}

TEST_F(VhostUserBackendTest, APacketGoesRoundByKickAndCall) {
  driver_.AddRx(4);
  Publish();
  StartDevice();
  eventfd_t count = 0;
  EXPECT_EQ(eventfd_read(call_[kRxRing].get(), &count), -1) << "nothing has come yet";
  Fetch();
  driver_.Send(
      {.src_cid = kCid, .dst_cid = kHostCid, .src_port = 5, .dst_port = 6, .op = Op::kRequest});
  Publish();
  ASSERT_EQ(eventfd_write(kick_[kTxRing].get(), 1), 0);
  Turn();
  EXPECT_EQ(eventfd_read(call_[kRxRing].get(), &count), 0);
  Fetch();
  const std::vector<Packet> packets = driver_.Receive();
  ASSERT_EQ(packets.size(), 1U);
  EXPECT_EQ(packets[0].header.op, Op::kReset);
}

TEST_F(VhostUserBackendTest, TxIsDrainedAtEnableWithoutAKick) {
  driver_.AddRx(4);
  driver_.Send(
      {.src_cid = kCid, .dst_cid = kHostCid, .src_port = 5, .dst_port = 6, .op = Op::kRequest});
  Publish();
  StartDevice();
  Fetch();
  EXPECT_EQ(driver_.tx_done(), 1);
}

TEST_F(VhostUserBackendTest, GetVringBaseStopsTheRingAndSaysWhere) {
  driver_.AddRx(4);
  driver_.Send(
      {.src_cid = kCid, .dst_cid = kHostCid, .src_port = 5, .dst_port = 6, .op = Op::kRequest});
  Publish();
  StartDevice();
  const auto reply = Ask(Request::kGetVringBase, VringState{kTxRing, 0});
  VringState state{};
  ASSERT_EQ(reply.size(), sizeof(state));
  std::memcpy(&state, reply.data(), sizeof(state));
  EXPECT_EQ(state.index, kTxRing);
  EXPECT_EQ(state.value, 1U);
  EXPECT_FALSE(device_.ring(kTxRing).started());
}

TEST_F(VhostUserBackendTest, ARestartedDeviceWorksWithoutFeaturesBeingSaid) {
  // What QEMU sends to a new process under a running guest.
  driver_.AddRx(4);
  driver_.Send(
      {.src_cid = kCid, .dst_cid = kHostCid, .src_port = 5, .dst_port = 6, .op = Op::kShutdown}, "",
      FakeDriver::Shape::kIndirect);
  Publish();
  ASSERT_TRUE(Acknowledged(Request::kSetMemTable, MemTable(), {memory_.get()}));
  for (const uint32_t index : {kRxRing, kTxRing}) StartRing(index, 0);
  Turn();
  Fetch();
  ASSERT_EQ(driver_.Receive().size(), 1U);
}

TEST_F(VhostUserBackendTest, MemoryReplacedUnderRunningRingsIsUsedFromThenOn) {
  driver_.AddRx(4);
  Publish();
  StartDevice();
  ASSERT_TRUE(Acknowledged(Request::kSetMemTable, MemTable(), {memory_.get()}));
  Fetch();
  driver_.Send(
      {.src_cid = kCid, .dst_cid = kHostCid, .src_port = 5, .dst_port = 6, .op = Op::kRequest});
  Publish();
  ASSERT_EQ(eventfd_write(kick_[kTxRing].get(), 1), 0);
  Turn();
  Fetch();
  EXPECT_EQ(driver_.Receive().size(), 1U);
}

TEST_F(VhostUserBackendTest, MemoryThatDoesNotHoldTheRingsStopsThem) {
  driver_.AddRx(4);
  Publish();
  StartDevice();
  MemTable elsewhere;
  elsewhere.region.user_address += 1ULL << 32;
  EXPECT_FALSE(Acknowledged(Request::kSetMemTable, elsewhere, {memory_.get()}));
  EXPECT_FALSE(device_.ring(kRxRing).started());
  EXPECT_FALSE(device_.ring(kTxRing).started());
  ASSERT_EQ(eventfd_write(kick_[kTxRing].get(), 1), 0);
  Turn();
  EXPECT_FALSE(backend_->failure());
}

TEST_F(VhostUserBackendTest, AMemfdShorterThanItsRegionIsRefused) {
  const UniqueFd small(memfd_create("small", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(small.get(), 4096), 0);
  EXPECT_FALSE(Acknowledged(Request::kSetMemTable, MemTable(), {small.get()}));
  EXPECT_TRUE(Acknowledged(Request::kSetMemTable, MemTable(), {memory_.get()}));
}

TEST_F(VhostUserBackendTest, WhatCannotBeDoneIsRefusedAndTheNextRequestIsTaken) {
  MemTable two;
  two.header.regions = 2;
  EXPECT_FALSE(Acknowledged(Request::kSetMemTable, two, {memory_.get()}));
  EXPECT_FALSE(Acknowledged(Request::kSetMemTable, MemTable(), {}));
  EXPECT_FALSE(Acknowledged(Request::kSetVringNum, VringState{2, 64}));
  EXPECT_FALSE(Acknowledged(Request::kSetVringBase, VringState{0, 0x10000}));
  EXPECT_FALSE(Acknowledged(Request::kSetVringAddr, VringAddresses{9, 0, 0, 0, 0, 0}));
  EXPECT_FALSE(Acknowledged(Request::kSetVringKick, uint64_t{2}, {kick_[0].get()}));
  EXPECT_FALSE(Acknowledged(Request::kSetVringKick, kVringNoFd)) << "polling";
  EXPECT_FALSE(Acknowledged(Request::kSetVringKick, uint64_t{0})) << "no descriptor";
  EXPECT_FALSE(Acknowledged(Request::kSetVringCall, kVringNoFd, {call_[0].get()}));
  EXPECT_FALSE(Acknowledged(Request::kSetVringKick, uint64_t{0}, {kick_[0].get()})) << "no ring";
  EXPECT_FALSE(Acknowledged(static_cast<Request>(77), uint64_t{0}));
  EXPECT_TRUE(Acknowledged(Request::kSetVringCall, kVringNoFd));
  EXPECT_FALSE(backend_->failure());
}

TEST_F(VhostUserBackendTest, ARunningRingCannotBeMoved) {
  Publish();
  StartDevice();
  EXPECT_FALSE(Acknowledged(Request::kSetVringNum, VringState{0, 8}));
  EXPECT_FALSE(Acknowledged(Request::kSetVringBase, VringState{0, 8}));
  EXPECT_FALSE(Acknowledged(Request::kSetVringAddr, VringAddresses{0, 0, 0, 0, 0, 0}));
}

TEST_F(VhostUserBackendTest, AMessageThatCannotBeDelimitedIsFatal) {
  const MessageHeader header{1, kVhostVersion, 0xffffffff};
  ASSERT_EQ(write(frontend_.fd(), &header, sizeof(header)), 12);
  Turn();
  EXPECT_TRUE(backend_->failure());
}

TEST_F(VhostUserBackendTest, AHypervisorThatClosesIsNoFailure) {
  Publish();
  StartDevice();
  frontend_.Close();
  Turn();
  EXPECT_TRUE(backend_->closed());
  EXPECT_FALSE(backend_->failure());
}

}  // namespace
}  // namespace berth::vsock
