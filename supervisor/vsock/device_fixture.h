// SPDX-License-Identifier: Apache-2.0
//
// For tests: the whole device but vhost-user. A fake driver's rings on one side, real Unix sockets
// on the other, and a clock that the test moves. One thread.
#ifndef BERTH_SUPERVISOR_VSOCK_DEVICE_FIXTURE_H_
#define BERTH_SUPERVISOR_VSOCK_DEVICE_FIXTURE_H_

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "supervisor/vsock/device.h"
#include "supervisor/vsock/event_loop.h"
#include "supervisor/vsock/fake_driver.h"
#include "supervisor/vsock/muxer.h"
#include "supervisor/vsock/pair_table.h"

namespace berth::vsock {

inline constexpr uint64_t kCid = 42;
inline constexpr uint32_t kGuestPort = 5000;
inline constexpr uint32_t kListening = 1022;  // the host port at which somebody listens
inline constexpr uint32_t kPeerWindow = 64 * 1024;

class DeviceTest : public ::testing::Test {
 protected:
  DeviceTest()
      : loop_(EventLoop::Create().value()),
        muxer_(
            loop_.get(), &pairs_, [this](uint32_t port) { return Listener(port); }, kCid, 0),
        device_(&muxer_),
        driver_(true, true) {
    Start();
    driver_.AddRx(32);
  }

  // What vhost-user does at DRIVER_OK.
  void Start(uint16_t rx_base = 0, uint16_t tx_base = 0) {
    ASSERT_TRUE(device_.SetMemory(driver_.Memory()));
    for (const uint32_t index : {kRxRing, kTxRing}) {
      const Virtqueue::Layout layout = driver_.LayoutOf(index);
      Ring& ring = device_.ring(index);
      ASSERT_TRUE(ring.SetSize(layout.size));
      ASSERT_TRUE(ring.SetAddresses(layout.descriptors, layout.available, layout.used));
      ASSERT_TRUE(device_.SetRingBase(index, index == kRxRing ? rx_base : tx_base));
      ASSERT_TRUE(device_.StartRing(index));
      ring.Enable(true);
    }
  }
  std::pair<uint16_t, uint16_t> Stop() {
    return {device_.ring(kRxRing).Stop(), device_.ring(kTxRing).Stop()};
  }

  UniqueFd Listener(uint32_t port) {
    if (port != kListening) return {};
    auto [ours, theirs] = SocketPair();
    accepted_.push_back(std::move(theirs));
    return std::move(ours);
  }
  static std::pair<UniqueFd, UniqueFd> SocketPair() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    return {UniqueFd(fds[0]), UniqueFd(fds[1])};
  }

  // One turn of main's loop.
  void Turn() {
    do {
      ASSERT_TRUE(loop_->Poll(TimePoint()));
      muxer_.Expire(now_);
      device_.Work(now_);
    } while (device_.work_left());
  }
  std::vector<Packet> Receive() {
    Turn();
    return driver_.Receive();
  }
  std::vector<Op> ReceiveOps() {
    std::vector<Op> ops;
    for (const Packet& packet : Receive()) ops.push_back(packet.header.op);
    return ops;
  }

  static PacketHeader From(Ports ports, Op op, uint32_t len = 0) {
    return {.src_cid = kCid,
            .dst_cid = kHostCid,
            .src_port = ports.guest,
            .dst_port = ports.host,
            .len = len,
            .op = op,
            .buf_alloc = kPeerWindow};
  }
  void Send(Ports ports, Op op, std::string_view payload = {}, uint32_t flags = 0) {
    PacketHeader header = From(ports, op, static_cast<uint32_t>(payload.size()));
    header.flags = flags;
    header.fwd_cnt = forwarded_;
    driver_.Send(header, payload);
  }

  // A host client with its connection established; `ports` is filled in.
  UniqueFd Dial(Ports* ports) {
    auto [ours, client] = SocketPair();
    muxer_.DialGuest(std::move(ours), kGuestPort, now_);
    const std::vector<Packet> packets = Receive();
    EXPECT_EQ(packets.size(), 1U);
    EXPECT_EQ(packets.at(0).header.op, Op::kRequest);
    *ports = {.host = packets[0].header.src_port, .guest = packets[0].header.dst_port};
    Send(*ports, Op::kResponse);
    EXPECT_THAT(ReceiveOps(), ::testing::IsEmpty());
    EXPECT_EQ(Read(client), "OK " + std::to_string(ports->host) + "\n");
    return std::move(client);
  }

  // All that can be read now; "<eof>" at the end where it is the end.
  static std::string Read(const UniqueFd& fd) {
    std::string text;
    char buffer[4096];
    for (;;) {
      const ssize_t n = read(fd.get(), buffer, sizeof(buffer));
      if (n == 0) return text + "<eof>";
      if (n < 0) return text;
      text.append(buffer, static_cast<size_t>(n));
    }
  }
  // The table as another device of this VM would find it.
  PairTable Pairs() {
    return PairTable::Map(UniqueFd(fcntl(pair_memory_.get(), F_DUPFD_CLOEXEC, 0))).value();
  }
  long PairsNoted() const {
    std::array<uint64_t, PairTable::kSlots> slots{};
    EXPECT_EQ(pread(pair_memory_.get(), slots.data(), sizeof(slots), 0),
              static_cast<ssize_t>(sizeof(slots)));
    return std::ranges::count_if(slots, [](uint64_t slot) { return slot != 0; });
  }
  static void Write(const UniqueFd& fd, std::string_view text) {
    ASSERT_EQ(write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  TimePoint now_ = std::chrono::steady_clock::now();
  uint32_t forwarded_ = 0;  // of the guest, for every connection
  std::unique_ptr<EventLoop> loop_;
  std::vector<UniqueFd> accepted_;
  UniqueFd pair_memory_{memfd_create("pairs", MFD_CLOEXEC)};
  PairTable pairs_ = Pairs();
  Muxer muxer_;
  Device device_;
  FakeDriver driver_;
};

}  // namespace berth::vsock

#endif  // BERTH_SUPERVISOR_VSOCK_DEVICE_FIXTURE_H_
