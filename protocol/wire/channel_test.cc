// SPDX-License-Identifier: Apache-2.0
#include "protocol/wire/channel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>

#include "protocol/base/io.h"

namespace berth::wire {
namespace {

namespace asio = boost::asio;
using ::testing::HasSubstr;

constexpr auto kPatience = 60s;

class ChannelTest : public ::testing::Test {
 protected:
  ChannelTest() {
    int pair[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    peer_.Reset(pair[0]);
    channel_.emplace(AdoptSocket(context_.get_executor(), UniqueFd(pair[1])).value());
  }

  // Runs `coroutine` to its end.
  template <typename T>
  T Await(asio::awaitable<T> coroutine) {
    std::optional<T> result;
    const auto run = [&]() -> asio::awaitable<void> {
      result.emplace(co_await std::move(coroutine));
    };
    asio::co_spawn(context_, run(), asio::detached);
    context_.restart();
    while (!result && context_.run_one() > 0) {
    }
    return std::move(*result);
  }

  void PeerWrites(std::string_view bytes) {
    ASSERT_TRUE(WriteFull(peer_.get(), bytes, Deadline::In(kPatience)));
  }

  static v1::Envelope Ping(std::string payload) {
    v1::Envelope message;
    message.mutable_ping()->set_payload(std::move(payload));
    return message;
  }

  asio::io_context context_;
  UniqueFd peer_;
  std::optional<Channel> channel_;
};

TEST_F(ChannelTest, MessagesArriveAsTheyWereSent) {
  PeerWrites(EncodeMessage(Ping("one")).value() + EncodeMessage(Ping("two")).value());
  EXPECT_EQ(Await(channel_->ReadMessage(Deadline::In(kPatience)))->ping().payload(), "one");
  EXPECT_EQ(Await(channel_->ReadMessage(Deadline::In(kPatience)))->ping().payload(), "two");
}

TEST_F(ChannelTest, SilenceMeetsTheDeadlineAndTheChannelLives) {
  const auto nothing = Await(channel_->Read(Deadline::In(20ms)));
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().errnum, ETIMEDOUT);
  PeerWrites(EncodeMessage(Ping("late")).value());
  EXPECT_EQ(Await(channel_->ReadMessage(Deadline::In(kPatience)))->ping().payload(), "late");
}

TEST_F(ChannelTest, HalfAFrameMeetsTheDeadline) {
  PeerWrites(EncodeMessage(Ping("cut")).value().substr(0, 9));
  const auto half = Await(channel_->Read(Deadline::In(20ms)));
  ASSERT_FALSE(half);
  EXPECT_EQ(half.error().errnum, ETIMEDOUT);
  EXPECT_THAT(half.error().detail, HasSubstr("rest of a frame"));
}

TEST_F(ChannelTest, CloseBetweenFramesIsTheEndAndInsideOneAnError) {
  PeerWrites(EncodeMessage(Ping("x")).value());
  shutdown(peer_.get(), SHUT_WR);
  EXPECT_TRUE(Await(channel_->Read())->has_value());
  EXPECT_FALSE(Await(channel_->Read())->has_value());
}

TEST_F(ChannelTest, CloseInsideAFrameIsAnError) {
  PeerWrites(EncodeMessage(Ping("x")).value().substr(0, 10));
  peer_.Reset();
  const auto cut = Await(channel_->Read());
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().errnum, ECONNRESET);
}

TEST_F(ChannelTest, DataWhereAMessageIsDueIsAnError) {
  PeerWrites(std::string("\x01\0\0\0\x02\0\0\0x", 9));
  const auto data = Await(channel_->ReadMessage(Deadline::In(kPatience)));
  ASSERT_FALSE(data);
  EXPECT_EQ(data.error().errnum, EPROTO);
}

TEST_F(ChannelTest, WriteToAPeerThatDoesNotReadMeetsTheDeadline) {
  const std::vector<std::byte> bytes(4 * 1024 * 1024);
  const auto stuck = Await(channel_->WriteBytes(bytes, Deadline::In(20ms)));
  ASSERT_FALSE(stuck);
  EXPECT_EQ(stuck.error().errnum, ETIMEDOUT);
}

TEST_F(ChannelTest, WriteDataFillsTheHeaderIn) {
  std::string frame(kFrameHeaderBytes, '?');
  frame += "payload";
  ASSERT_TRUE(
      Await(channel_->WriteData(Stream::kStderr, std::as_writable_bytes(std::span(frame)))));
  ASSERT_TRUE(Await(channel_->WriteEnd(Stream::kStderr)));
  std::byte received[23];
  ASSERT_TRUE(ReadFull(peer_.get(), received, Deadline::In(kPatience)));
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(received), sizeof(received)),
            std::string("\x07\0\0\0\x02\x02\0\0payload\0\0\0\0\x03\x02\0\0", 23));
}

TEST_F(ChannelTest, CloseEndsAPendingReadAndLaterOnesFail) {
  std::optional<Result<std::optional<FrameView>>> result;
  const auto run = [&]() -> asio::awaitable<void> { result = co_await channel_->Read(); };
  asio::co_spawn(context_, run(), asio::detached);
  context_.poll();
  ASSERT_FALSE(result);
  channel_->Close();
  context_.run();
  ASSERT_TRUE(result);
  EXPECT_FALSE(*result);
  EXPECT_EQ(Await(channel_->Write(Ping("x"))).error().errnum, ECANCELED);
}

TEST_F(ChannelTest, ADeadlineThatIsDueWhenTheChannelGoesTouchesNothing) {
  // The timer's handler is queued, then the channel dies, then the handler runs: found by ASan.
  // Long enough for the bytes to be written before it on any machine.
  const Deadline deadline = Deadline::In(200ms);
  std::optional<Result<std::optional<FrameView>>> result;
  const auto run = [&]() -> asio::awaitable<void> {
    result = co_await channel_->Read(deadline);
    channel_.reset();
  };
  asio::co_spawn(context_, run(), asio::detached);
  context_.poll();
  PeerWrites(EncodeMessage(Ping("x")).value());
  // Time itself is what is awaited: both the timer and the bytes are due then.
  while (!deadline.Passed()) poll(nullptr, 0, 1);
  context_.run();
  EXPECT_TRUE(result);
}

TEST(MessageTest, WhatIsNoEnvelopeIsRefused) {
  const auto decode = [](std::string_view bytes) {
    return DecodeMessage(std::as_bytes(std::span(bytes)));
  };
  EXPECT_FALSE(decode("\xff\xff\xff\xff"));
  EXPECT_FALSE(decode("")) << "an Envelope without a body";
  EXPECT_FALSE(decode("\xfa\x3f\x00")) << "a body of a later generation";
  EXPECT_EQ(decode("\xff").error().errnum, EPROTO);
}

TEST(MessageTest, TooLargeToSendIsAnErrorAndNotAnAbort) {
  v1::Envelope message;
  message.mutable_ping()->set_payload(std::string(kMaxMessageBytes, 'x'));
  EXPECT_EQ(EncodeMessage(message).error().errnum, EMSGSIZE);
}

}  // namespace
}  // namespace berth::wire
