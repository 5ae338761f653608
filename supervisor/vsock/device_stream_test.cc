// SPDX-License-Identifier: Apache-2.0
//
// Streams through the device: half-close, close, credit, slow and vanished clients.
#include "supervisor/vsock/device_fixture.h"

namespace berth::vsock {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

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

TEST_F(DeviceTest, OnePacketLargerThanTheWindowIsResetEvenIfTheClientWouldTakeIt) {
  Ports ports;
  const UniqueFd client = Dial(&ports);
  constexpr uint32_t kBytes = kLargeWindowBytes + 1;
  driver_.Send(From(ports, Op::kData, kBytes));
  // In place of an empty payload, all of it from one buffer.
  const uint16_t head = driver_.available_entry(kTxRing, 1);
  FakeDriver::Descriptor& payload = driver_.descriptor(kTxRing, head + 1U);
  payload.address = FakeDriver::kRamAddress;
  payload.bytes = kBytes;
  EXPECT_THAT(ReceiveOps(), ElementsAre(Op::kReset));
  EXPECT_EQ(Read(client), "<eof>");
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

}  // namespace
}  // namespace berth::vsock
