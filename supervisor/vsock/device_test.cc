// SPDX-License-Identifier: Apache-2.0
//
// The whole device but vhost-user: a fake driver's rings on one side, real Unix sockets on the
// other, and a clock that the test moves.
#include "supervisor/vsock/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/vsock/fake_driver.h"
#include "supervisor/vsock/muxer.h"

namespace berth::vsock {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint64_t kCid = 42;
constexpr uint32_t kGuestPort = 5000;
constexpr uint32_t kListening = 1022;  // the host port at which somebody listens
constexpr uint32_t kPeerWindow = 64 * 1024;

class DeviceTest : public ::testing::Test {
 protected:
  DeviceTest()
      : loop_(EventLoop::Create().value()),
        muxer_(
            loop_.get(), [this](uint32_t port) { return Listener(port); }, kCid, 0),
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
    EXPECT_THAT(ReceiveOps(), IsEmpty());
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
  static void Write(const UniqueFd& fd, std::string_view text) {
    ASSERT_EQ(write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  TimePoint now_ = std::chrono::steady_clock::now();
  uint32_t forwarded_ = 0;  // of the guest, for every connection
  std::unique_ptr<EventLoop> loop_;
  std::vector<UniqueFd> accepted_;
  Muxer muxer_;
  Device device_;
  FakeDriver driver_;
};

TEST_F(DeviceTest, HostDialsAndBytesGoBothWays) {
  Ports ports;
  const UniqueFd client = Dial(&ports);
  EXPECT_EQ(ports.guest, kGuestPort);
  Write(client, "to the guest");
  const std::vector<Packet> packets = Receive();
  ASSERT_EQ(packets.size(), 1U);
  EXPECT_EQ(packets[0].header.op, Op::kData);
  EXPECT_EQ(packets[0].header.src_cid, kHostCid);
  EXPECT_EQ(packets[0].header.dst_cid, kCid);
  EXPECT_EQ(packets[0].header.type, kTypeStream);
  EXPECT_EQ(packets[0].payload, "to the guest");
  Send(ports, Op::kData, "to the host");
  Turn();
  EXPECT_EQ(Read(client), "to the host");
}

TEST_F(DeviceTest, PacketsOfEveryShapeOfChainAreTaken) {
  Ports ports;
  const UniqueFd client = Dial(&ports);
  for (const auto shape :
       {FakeDriver::Shape::kOne, FakeDriver::Shape::kApart, FakeDriver::Shape::kIndirect}) {
    driver_.Send(From(ports, Op::kData, 3), "abc", shape);
  }
  Turn();
  EXPECT_EQ(Read(client), "abcabcabc");
}

TEST_F(DeviceTest, GuestDialsAHostPort) {
  const Ports ports{.host = kListening, .guest = 77};
  Send(ports, Op::kRequest);
  EXPECT_THAT(ReceiveOps(), ElementsAre(Op::kResponse));
  ASSERT_EQ(accepted_.size(), 1U);
  Send(ports, Op::kData, "ready");
  Turn();
  EXPECT_EQ(Read(accepted_[0]), "ready");
}

TEST_F(DeviceTest, GuestDialsWhereNoOneListensAndGetsRst) {
  Send({.host = 9, .guest = 77}, Op::kRequest);
  const std::vector<Packet> packets = Receive();
  ASSERT_EQ(packets.size(), 1U);
  EXPECT_EQ(packets[0].header.op, Op::kReset);
  EXPECT_EQ(packets[0].header.src_port, 9U);
  EXPECT_EQ(packets[0].header.dst_port, 77U);
  EXPECT_EQ(packets[0].header.dst_cid, kCid);
  EXPECT_EQ(muxer_.connections(), 0U);
}

TEST_F(DeviceTest, GuestRefusesAndTheClientSeesEndOfFile) {
  auto [ours, client] = SocketPair();
  muxer_.DialGuest(std::move(ours), kGuestPort, now_);
  const std::vector<Packet> packets = Receive();
  ASSERT_EQ(packets.size(), 1U);
  Send({.host = packets[0].header.src_port, .guest = kGuestPort}, Op::kReset);
  EXPECT_THAT(ReceiveOps(), IsEmpty());
  EXPECT_EQ(Read(client), "<eof>");
  EXPECT_EQ(muxer_.connections(), 0U);
}

TEST_F(DeviceTest, AnUnansweredRequestIsResetAfterItsDeadline) {
  auto [ours, client] = SocketPair();
  muxer_.DialGuest(std::move(ours), kGuestPort, now_);
  EXPECT_THAT(ReceiveOps(), ElementsAre(Op::kRequest));
  ASSERT_EQ(muxer_.NextDeadline(), now_ + kRequestTimeout);
  now_ += kRequestTimeout - std::chrono::milliseconds(1);
  EXPECT_THAT(ReceiveOps(), IsEmpty());
  now_ += std::chrono::milliseconds(1);
  EXPECT_THAT(ReceiveOps(), ElementsAre(Op::kReset));
  EXPECT_EQ(Read(client), "<eof>");
  EXPECT_EQ(muxer_.connections(), 0U);
}

TEST_F(DeviceTest, AClientThatLeavesBeforeTheAnswerIsReset) {
  auto [ours, client] = SocketPair();
  muxer_.DialGuest(std::move(ours), kGuestPort, now_);
  EXPECT_THAT(ReceiveOps(), ElementsAre(Op::kRequest));
  client.Reset();
  EXPECT_THAT(ReceiveOps(), ElementsAre(Op::kReset));
  EXPECT_EQ(muxer_.connections(), 0U);
}

TEST_F(DeviceTest, ADialWaitsWhileTheRingsAreStopped) {
  const auto [rx, tx] = Stop();
  auto [ours, client] = SocketPair();
  muxer_.DialGuest(std::move(ours), kGuestPort, now_);
  Turn();
  EXPECT_EQ(Read(client), "");
  Start(rx, tx);
  EXPECT_THAT(ReceiveOps(), ElementsAre(Op::kRequest));
}

TEST_F(DeviceTest, ADialIsRefusedWhenTheRingsStayStopped) {
  Stop();
  auto [ours, client] = SocketPair();
  muxer_.DialGuest(std::move(ours), kGuestPort, now_);
  now_ += kRequestTimeout;
  Turn();
  EXPECT_EQ(Read(client), "<eof>");
  EXPECT_EQ(muxer_.connections(), 0U);
}

// --- half-close and close ---

TEST_F(DeviceTest, TheClientsHalfCloseLeavesTheOtherDirectionOpen) {
  Ports ports;
  const UniqueFd client = Dial(&ports);
  Write(client, "last");
  ASSERT_EQ(shutdown(client.get(), SHUT_WR), 0);
  const std::vector<Packet> packets = Receive();
  ASSERT_EQ(packets.size(), 2U);
  EXPECT_EQ(packets[0].payload, "last");
  EXPECT_EQ(packets[1].header.op, Op::kShutdown);
  EXPECT_EQ(packets[1].header.flags, kShutdownSend);
  EXPECT_EQ(muxer_.NextDeadline(), std::nullopt) << "a half-close may last for days";
  Send(ports, Op::kData, "still here");
  Turn();
  EXPECT_EQ(Read(client), "still here");
}

TEST_F(DeviceTest, TheGuestsHalfCloseLeavesTheOtherDirectionOpen) {
  Ports ports;
  const UniqueFd client = Dial(&ports);
  Send(ports, Op::kData, "last");
  Send(ports, Op::kShutdown, {}, kShutdownSend);
  Turn();
  EXPECT_EQ(Read(client), "last<eof>");
  EXPECT_EQ(muxer_.NextDeadline(), std::nullopt);
  Write(client, "still here");
  const std::vector<Packet> packets = Receive();
  ASSERT_EQ(packets.size(), 1U);
  EXPECT_EQ(packets[0].payload, "still here");
}

TEST_F(DeviceTest, BothHalfClosesEndInOneShutdownOfBothAndTheGuestsRst) {
  Ports ports;
  const UniqueFd client = Dial(&ports);
  Send(ports, Op::kShutdown, {}, kShutdownSend);
  Turn();
  ASSERT_EQ(shutdown(client.get(), SHUT_WR), 0);
  const std::vector<Packet> packets = Receive();
  ASSERT_EQ(packets.size(), 1U);
  EXPECT_EQ(packets[0].header.op, Op::kShutdown);
  EXPECT_EQ(packets[0].header.flags, kShutdownBoth);
  EXPECT_EQ(muxer_.connections(), 1U);
  Send(ports, Op::kReset);
  EXPECT_THAT(ReceiveOps(), IsEmpty());
  EXPECT_EQ(muxer_.connections(), 0U);
}

TEST_F(DeviceTest, AGuestThatNeverAnswersAShutdownIsReset) {
  Ports ports;
  UniqueFd client = Dial(&ports);
  client.Reset();
  const std::vector<Packet> packets = Receive();
  ASSERT_FALSE(packets.empty());
  EXPECT_EQ(packets.back().header.op, Op::kShutdown);
  EXPECT_EQ(packets.back().header.flags, kShutdownBoth);
  now_ += kCloseTimeout;
  EXPECT_THAT(ReceiveOps(), ElementsAre(Op::kReset));
  EXPECT_EQ(muxer_.connections(), 0U);
}

TEST_F(DeviceTest, TheGuestsCloseIsAnsweredWithRst) {
  Ports ports;
  const UniqueFd client = Dial(&ports);
  Send(ports, Op::kData, "bye");
  Send(ports, Op::kShutdown, {}, kShutdownBoth);
  EXPECT_THAT(ReceiveOps(), ElementsAre(Op::kReset));
  EXPECT_EQ(Read(client), "bye<eof>");
  EXPECT_EQ(muxer_.connections(), 0U);
}

TEST_F(DeviceTest, AGuestThatReceivesNoMoreIsSentNoMore) {
  Ports ports;
  const UniqueFd client = Dial(&ports);
  Send(ports, Op::kShutdown, {}, kShutdownReceive);
  Turn();
  EXPECT_EQ(send(client.get(), "x", 1, MSG_NOSIGNAL), -1);
  EXPECT_EQ(errno, EPIPE);
  EXPECT_THAT(ReceiveOps(), IsEmpty());
  Send(ports, Op::kData, "but sends");
  Turn();
  EXPECT_EQ(Read(client), "but sends");
}

TEST_F(DeviceTest, AClientThatReceivesNoMoreIsToldToTheGuest) {
  Ports ports;
  const UniqueFd client = Dial(&ports);
  ASSERT_EQ(shutdown(client.get(), SHUT_RD), 0);
  Send(ports, Op::kData, "into the void");
  const std::vector<Packet> packets = Receive();
  ASSERT_EQ(packets.size(), 1U);
  EXPECT_EQ(packets[0].header.op, Op::kShutdown);
  EXPECT_EQ(packets[0].header.flags, kShutdownReceive);
  Write(client, "but sends");
  EXPECT_THAT(ReceiveOps(), ElementsAre(Op::kData));
}

TEST_F(DeviceTest, WhatAClientWroteBeforeItLeftReachesTheGuest) {
  Ports ports;
  UniqueFd client = Dial(&ports);
  Write(client, "testament");
  client.Reset();
  std::string payload;
  std::vector<Packet> packets = Receive();
  for (const Packet& packet : packets) payload += packet.payload;
  EXPECT_EQ(payload, "testament");
  ASSERT_FALSE(packets.empty());
  EXPECT_EQ(packets.back().header.op, Op::kShutdown);
  EXPECT_EQ(packets.back().header.flags, kShutdownBoth);
}

TEST_F(DeviceTest, AClientThatLeftIsNotWaitedForByAGuestThatNeverReads) {
  Ports ports;
  UniqueFd client = Dial(&ports);
  Write(client, std::string(kPeerWindow, 'h'));
  Turn();
  Write(client, "more than the guest's window");
  client.Reset();
  Receive();
  Receive();
  EXPECT_EQ(muxer_.connections(), 1U);
  ASSERT_TRUE(muxer_.NextDeadline());
  now_ = *muxer_.NextDeadline();
  EXPECT_GT(now_, std::chrono::steady_clock::now() + kOrphanTimeout / 2);
  EXPECT_THAT(ReceiveOps(), ElementsAre(Op::kReset));
  EXPECT_EQ(muxer_.connections(), 0U);
}

TEST_F(DeviceTest, ConnectionCountReturnsToZeroAfterEveryKindOfClose) {
  for (int round = 0; round < 3; ++round) {
    for (int kind = 0; kind < 6; ++kind) {
      Ports ports;
      UniqueFd client = Dial(&ports);
      switch (kind) {
        case 0:  // guest: RST
          Send(ports, Op::kReset);
          break;
        case 1:  // guest: SHUTDOWN of both
          Send(ports, Op::kShutdown, {}, kShutdownBoth);
          break;
        case 2:  // guest: one after the other
          Send(ports, Op::kShutdown, {}, kShutdownSend);
          Send(ports, Op::kShutdown, {}, kShutdownReceive);
          break;
        case 3:  // the client closes, the guest answers
          client.Reset();
          Turn();
          Send(ports, Op::kReset);
          break;
        case 4:  // both at once
          client.Reset();
          Send(ports, Op::kShutdown, {}, kShutdownBoth);
          break;
        case 5:  // broken protocol
          Send(ports, Op::kRequest);
          break;
      }
      Receive();
      EXPECT_EQ(muxer_.connections(), 0U) << "kind " << kind;
      EXPECT_EQ(muxer_.NextDeadline(), std::nullopt) << "kind " << kind;
    }
  }
}

// --- credit and backlog ---

TEST_F(DeviceTest, NoMoreGoesToTheGuestThanItsWindow) {
  Ports ports;
  const UniqueFd client = Dial(&ports);
  Write(client, std::string(kPeerWindow + 1000, 'h'));
  size_t bytes = 0;
  Op last = Op::kInvalid;
  for (int i = 0; i < 4; ++i) {
    for (const Packet& packet : Receive()) {
      bytes += packet.payload.size();
      last = packet.header.op;
    }
  }
  EXPECT_EQ(bytes, kPeerWindow);
  EXPECT_EQ(last, Op::kCreditRequest);
  forwarded_ = kPeerWindow / 2;
  Send(ports, Op::kCreditUpdate);
  const std::vector<Packet> packets = Receive();
  ASSERT_EQ(packets.size(), 1U);
  EXPECT_EQ(packets[0].payload.size(), 1000U);
}

TEST_F(DeviceTest, CreditIsGivenBackOnlyForBytesThatReachedTheClient) {
  Ports ports;
  const UniqueFd client = Dial(&ports);
  // More than the socket takes, less than socket and window.
  const std::string payload(4096, 'g');
  for (int i = 0; i < 80; ++i) {
    Send(ports, Op::kData, payload);
    Turn();
  }
  const size_t sent = 80 * payload.size();
  driver_.Receive();
  Send(ports, Op::kCreditRequest);
  std::vector<Packet> packets = Receive();
  ASSERT_EQ(packets.size(), 1U);
  EXPECT_EQ(packets[0].header.op, Op::kCreditUpdate);
  EXPECT_EQ(packets[0].header.buf_alloc, kLargeWindowBytes);
  const uint32_t forwarded = packets[0].header.fwd_cnt;
  EXPECT_LT(forwarded, sent) << "the test must fill the socket";
  EXPECT_GT(forwarded, 0U);
  // The client reads it all: the rest is forwarded.
  std::string got = Read(client);
  Turn();
  got += Read(client);
  EXPECT_EQ(got, std::string(sent, 'g'));
  Send(ports, Op::kCreditRequest);
  packets = Receive();
  ASSERT_FALSE(packets.empty());
  EXPECT_EQ(packets.back().header.fwd_cnt, sent);
}

TEST_F(DeviceTest, CreditUpdateComesByItselfAtHalfOfTheWindow) {
  Ports ports;
  const UniqueFd client = Dial(&ports);
  const std::string payload(4096, 'g');
  size_t sent = 0;
  std::vector<Op> ops;
  while (sent < kLargeWindowBytes / 2) {
    EXPECT_THAT(ops, IsEmpty()) << "after " << sent;
    Send(ports, Op::kData, payload);
    sent += payload.size();
    ops = ReceiveOps();
    Read(client);
  }
  EXPECT_THAT(ops, ElementsAre(Op::kCreditUpdate));
}

TEST_F(DeviceTest, AGuestThatOverrunsItsWindowIsReset) {
  Ports ports;
  const UniqueFd client = Dial(&ports);
  const std::string payload(8000, 'g');
  std::vector<Op> ops;
  for (int i = 0; i < 200 && ops.empty(); ++i) {
    Send(ports, Op::kData, payload);
    for (const Packet& packet : Receive()) {
      if (packet.header.op != Op::kCreditUpdate) ops.push_back(packet.header.op);
    }
  }
  EXPECT_THAT(ops, ElementsAre(Op::kReset));
  EXPECT_EQ(muxer_.connections(), 0U);
}

TEST_F(DeviceTest, WhatTheGuestSentBeforeItClosedReachesASlowClient) {
  Ports ports;
  const UniqueFd client = Dial(&ports);
  const std::string payload(4096, 'g');
  for (int i = 0; i < 80; ++i) {
    Send(ports, Op::kData, payload);
    Turn();
  }
  driver_.Receive();
  Send(ports, Op::kShutdown, {}, kShutdownBoth);
  EXPECT_THAT(ReceiveOps(), ElementsAre(Op::kReset)) << "the guest need not wait for the client";
  EXPECT_EQ(muxer_.connections(), 1U);
  // The pair is the guest's again.
  Send({.host = ports.host, .guest = ports.guest}, Op::kData, "stray");
  EXPECT_THAT(ReceiveOps(), ElementsAre(Op::kReset));
  std::string got = Read(client);
  Turn();
  got += Read(client);
  EXPECT_EQ(got, std::string(80 * payload.size(), 'g') + "<eof>");
  EXPECT_EQ(muxer_.connections(), 0U);
}

TEST_F(DeviceTest, AStalledClientHoldsUpNoOther) {
  Ports stalled_ports;
  const UniqueFd stalled = Dial(&stalled_ports);
  Ports ports;
  const UniqueFd client = Dial(&ports);
  const std::string payload(4096, 'g');
  for (int i = 0; i < 60; ++i) {
    Send(stalled_ports, Op::kData, payload);
    Turn();
  }
  Send(ports, Op::kData, "quick");
  Turn();
  EXPECT_EQ(Read(client), "quick");
}

TEST_F(DeviceTest, ClientsTakeTurnsOnTheRxRing) {
  Ports a_ports;
  Ports b_ports;
  const UniqueFd a = Dial(&a_ports);
  const UniqueFd b = Dial(&b_ports);
  Write(a, std::string(40'000, 'a'));
  Write(b, std::string(40'000, 'b'));
  const std::vector<Packet> packets = Receive();
  ASSERT_GE(packets.size(), 4U);
  for (size_t i = 0; i + 1 < 4; ++i) {
    EXPECT_NE(packets[i].header.src_port, packets[i + 1].header.src_port);
  }
}

TEST_F(DeviceTest, DataWaitsForRxBuffersAndGoesOnWhenTheyCome) {
  Ports ports;
  const UniqueFd client = Dial(&ports);
  for (int i = 0; i < 32; ++i) {
    Write(client, "x");
    Turn();
    ASSERT_EQ(driver_.Receive(false).size(), 1U);
  }
  Write(client, "late");
  Turn();
  EXPECT_THAT(driver_.Receive(false), IsEmpty()) << "no buffers are left";
  EXPECT_EQ(driver_.available_event(kRxRing), driver_.available_index(kRxRing))
      << "a kick is wanted";
  driver_.AddRx();
  const std::vector<Packet> packets = Receive();
  ASSERT_EQ(packets.size(), 1U);
  EXPECT_EQ(packets[0].payload, "late");
}

// --- what is wrong gets RST ---

TEST_F(DeviceTest, AnyPacketForNoConnectionGetsRstExceptRst) {
  const Ports nobody{.host = 1, .guest = 2};
  for (const Op op : {Op::kInvalid, Op::kResponse, Op::kShutdown, Op::kData, Op::kCreditUpdate,
                      Op::kCreditRequest, static_cast<Op>(99)}) {
    Send(nobody, op);
    EXPECT_THAT(ReceiveOps(), ElementsAre(Op::kReset)) << static_cast<int>(op);
  }
  Send(nobody, Op::kReset);
  EXPECT_THAT(ReceiveOps(), IsEmpty());
}

TEST_F(DeviceTest, AnUnexpectedPacketResetsItsConnection) {
  for (const Op op : {Op::kInvalid, Op::kRequest, Op::kResponse, static_cast<Op>(8),
                      static_cast<Op>(40), static_cast<Op>(0xffff)}) {
    Ports ports;
    const UniqueFd client = Dial(&ports);
    Send(ports, op);
    EXPECT_THAT(ReceiveOps(), ElementsAre(Op::kReset)) << static_cast<int>(op);
    EXPECT_EQ(Read(client), "<eof>");
  }
  EXPECT_EQ(muxer_.connections(), 0U);
}

TEST_F(DeviceTest, NoPacketButAnAnswerIsTakenBeforeTheAnswer) {
  for (const Op op :
       {Op::kRequest, Op::kData, Op::kShutdown, Op::kCreditUpdate, Op::kCreditRequest}) {
    auto [ours, client] = SocketPair();
    muxer_.DialGuest(std::move(ours), kGuestPort, now_);
    const std::vector<Packet> packets = Receive();
    ASSERT_EQ(packets.size(), 1U);
    Send({.host = packets[0].header.src_port, .guest = kGuestPort}, op);
    EXPECT_THAT(ReceiveOps(), ElementsAre(Op::kReset)) << static_cast<int>(op);
    EXPECT_EQ(Read(client), "<eof>");
  }
}

TEST_F(DeviceTest, AnAnswerToARequestThatWasNotSentIsNotTaken) {
  const auto [rx, tx] = Stop();
  auto [ours, client] = SocketPair();
  muxer_.DialGuest(std::move(ours), kGuestPort, now_);
  // Only tx runs: the guest guesses the ports before REQUEST is in its ring.
  Start(rx, tx);
  device_.ring(kRxRing).Enable(false);
  Send({.host = 1U << 30, .guest = kGuestPort}, Op::kResponse);
  Turn();
  EXPECT_EQ(Read(client), "<eof>");
}

TEST_F(DeviceTest, DataAfterTheGuestSaidItSendsNoMoreIsReset) {
  Ports ports;
  const UniqueFd client = Dial(&ports);
  Send(ports, Op::kShutdown, {}, kShutdownSend);
  Send(ports, Op::kData, "more");
  EXPECT_THAT(ReceiveOps(), ElementsAre(Op::kReset));
  EXPECT_EQ(Read(client), "<eof>");
}

TEST_F(DeviceTest, AnotherTypeThanStreamGetsRst) {
  PacketHeader header = From({.host = kListening, .guest = 3}, Op::kRequest);
  header.type = 2;
  driver_.Send(header);
  const std::vector<Packet> packets = Receive();
  ASSERT_EQ(packets.size(), 1U);
  EXPECT_EQ(packets[0].header.op, Op::kReset);
  EXPECT_EQ(packets[0].header.type, 2);
  EXPECT_TRUE(accepted_.empty());
}

TEST_F(DeviceTest, APacketLongerThanItsBuffersResetsItsConnection) {
  Ports ports;
  const UniqueFd client = Dial(&ports);
  driver_.Send(From(ports, Op::kData, 101), std::string(100, 'x'));
  EXPECT_THAT(ReceiveOps(), ElementsAre(Op::kReset));
  EXPECT_EQ(Read(client), "<eof>");
}

TEST_F(DeviceTest, ForeignCidsAreDroppedWithoutAnAnswer) {
  PacketHeader header = From({.host = kListening, .guest = 3}, Op::kRequest);
  header.src_cid = kCid + 1;
  driver_.Send(header);
  header = From({.host = kListening, .guest = 3}, Op::kRequest);
  header.dst_cid = 3;
  driver_.Send(header);
  EXPECT_THAT(ReceiveOps(), IsEmpty());
  EXPECT_TRUE(accepted_.empty());
  EXPECT_EQ(driver_.tx_done(), 2) << "the buffers are given back all the same";
}

TEST_F(DeviceTest, AnRxBufferWithoutRoomBehindTheHeaderBreaksTheRing) {
  driver_.Receive();
  for (uint16_t i = 0; i < FakeDriver::kQueueSize; ++i) {
    driver_.descriptor(kRxRing, i).bytes = kPacketHeaderBytes;
  }
  Send({.host = 9, .guest = 77}, Op::kRequest);
  Turn();
  EXPECT_EQ(device_.ring(kRxRing).running(), nullptr);
  EXPECT_FALSE(device_.work_left()) << "a broken ring must not spin the loop";
}

TEST_F(DeviceTest, ABrokenRingWorksAgainAfterTheDriverResetsIt) {
  driver_.descriptor(kTxRing, 0) = {1, 44, 0, 0};
  driver_.available_entry(kTxRing, 0) = 0;
  driver_.available_index(kTxRing) = 1;
  Turn();
  EXPECT_EQ(device_.ring(kTxRing).running(), nullptr);
  Stop();
  driver_.Reset();
  Start();
  driver_.AddRx(8);
  Send({.host = kListening, .guest = 3}, Op::kRequest);
  EXPECT_THAT(ReceiveOps(), ElementsAre(Op::kResponse));
}

// --- stop, cont, reset ---

TEST_F(DeviceTest, ConnectionsSurviveStopAndCont) {
  Ports ports;
  const UniqueFd client = Dial(&ports);
  const auto [rx, tx] = Stop();
  Write(client, "while stopped");
  Turn();
  Start(rx, tx);
  const std::vector<Packet> packets = Receive();
  ASSERT_EQ(packets.size(), 1U);
  EXPECT_EQ(packets[0].payload, "while stopped");
}

TEST_F(DeviceTest, ConnectionsEndWhenTheDriverStartsAnew) {
  Ports ports;
  const UniqueFd client = Dial(&ports);
  Stop();
  EXPECT_EQ(Read(client), "") << "until the rings come back it may be stop and cont";
  driver_.Reset();
  Start();
  EXPECT_EQ(Read(client), "<eof>");
  EXPECT_EQ(muxer_.connections(), 0U);
  EXPECT_EQ(muxer_.NextDeadline(), std::nullopt);
}

// --- caps ---

TEST_F(DeviceTest, AGuestThatDialsTooOftenIsRefusedAndTheHostIsNot) {
  for (uint32_t port = 0; port <= kMaxGuestDialled; ++port) {
    Send({.host = kListening, .guest = 10'000 + port}, Op::kRequest);
    const std::vector<Op> ops = ReceiveOps();
    ASSERT_THAT(ops, ElementsAre(port < kMaxGuestDialled ? Op::kResponse : Op::kReset)) << port;
  }
  EXPECT_EQ(muxer_.connections(), kMaxGuestDialled);
  Ports ports;
  const UniqueFd client = Dial(&ports);
  EXPECT_EQ(muxer_.connections(), kMaxGuestDialled + 1);
}

TEST_F(DeviceTest, LaterConnectionsGetTheSmallWindow) {
  uint32_t window = 0;
  for (uint32_t port = 0; port <= kMaxLargeWindows; ++port) {
    Send({.host = kListening, .guest = 10'000 + port}, Op::kRequest);
    const std::vector<Packet> packets = Receive();
    ASSERT_EQ(packets.size(), 1U);
    window = packets[0].header.buf_alloc;
    if (port < kMaxLargeWindows) ASSERT_EQ(window, kLargeWindowBytes);
  }
  EXPECT_EQ(window, kSmallWindowBytes);
}

TEST_F(DeviceTest, TooManyClientsAreClosed) {
  Stop();
  std::vector<UniqueFd> clients;
  for (size_t i = 0; i <= kMaxConnections; ++i) {
    auto [ours, client] = SocketPair();
    muxer_.DialGuest(std::move(ours), kGuestPort, now_);
    clients.push_back(std::move(client));
  }
  EXPECT_EQ(muxer_.connections(), kMaxConnections);
  EXPECT_EQ(Read(clients.back()), "<eof>");
  EXPECT_EQ(Read(clients.front()), "");
}

TEST_F(DeviceTest, RstsForStraysAreBounded) {
  device_.ring(kRxRing).Enable(false);
  for (uint32_t i = 0; i < kMaxOwedResets + 100; ++i) {
    Send({.host = i, .guest = 1}, Op::kData);
    Turn();
  }
  device_.ring(kRxRing).Enable(true);
  size_t resets = 0;
  for (size_t got = 1; got > 0;) {
    got = ReceiveOps().size();
    resets += got;
  }
  EXPECT_EQ(resets, kMaxOwedResets);
}

}  // namespace
}  // namespace berth::vsock
