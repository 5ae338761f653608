// SPDX-License-Identifier: Apache-2.0
//
// The device: dialling either way, what is wrong, rings that break, stop and start anew, caps.
#include "supervisor/vsock/device_fixture.h"

namespace berth::vsock {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

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

// --- what a device that died left behind ---

TEST_F(DeviceTest, ConnectionsOfADeviceThatDiedAreReset) {
  PairTable dead = Pairs();
  const PairTable::Hold held = dead.Add({.host = 1U << 30, .guest = kGuestPort});
  PairTable found = Pairs();
  Muxer muxer(loop_.get(), &found, [](uint32_t) { return UniqueFd(); }, kCid, 0);
  ASSERT_TRUE(muxer.HasPacket());
  std::byte room[64];
  const iovec parts[] = {{room, sizeof(room)}};
  const auto packet = muxer.NextPacket(parts, now_);
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->op, Op::kReset);
  EXPECT_EQ(packet->type, kTypeStream);
  EXPECT_EQ(packet->src_cid, kHostCid);
  EXPECT_EQ(packet->src_port, 1U << 30);
  EXPECT_EQ(packet->dst_cid, kCid);
  EXPECT_EQ(packet->dst_port, kGuestPort);
  EXPECT_FALSE(muxer.HasPacket());
}

TEST_F(DeviceTest, ADriverThatStartsAnewIsNotToldOfWhatItForgot) {
  PairTable dead = Pairs();
  const PairTable::Hold held = dead.Add({.host = 1U << 30, .guest = kGuestPort});
  PairTable found = Pairs();
  Muxer muxer(loop_.get(), &found, [](uint32_t) { return UniqueFd(); }, kCid, 0);
  muxer.DropAll();
  EXPECT_FALSE(muxer.HasPacket());
}

TEST_F(DeviceTest, APairIsNotedFromTheRequestToTheReset) {
  Ports ports;
  EXPECT_EQ(PairsNoted(), 0);
  UniqueFd client = Dial(&ports);
  EXPECT_EQ(PairsNoted(), 1);
  client.Reset();
  EXPECT_THAT(ReceiveOps(), ElementsAre(Op::kShutdown));
  EXPECT_EQ(PairsNoted(), 1) << "the guest has not answered yet";
  Send(ports, Op::kReset);
  Turn();
  EXPECT_EQ(PairsNoted(), 0);
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
