// SPDX-License-Identifier: Apache-2.0
#include "agent/outbox.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <optional>

#include "protocol/base/io.h"
#include "protocol/wire/channel.h"

namespace berth::agent {
namespace {

using std::chrono_literals::operator""s;

class OutboxTest : public ::testing::Test {
 protected:
  OutboxTest() {
    int pair[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    ours_.Reset(pair[0]);
    theirs_.Reset(pair[1]);
    outbox_.emplace(ours_.get());
  }
  // Until the socket takes no more.
  size_t FillSocket() {
    const std::string junk(4096, 'j');
    size_t bytes = 0;
    for (ssize_t n; (n = send(ours_.get(), junk.data(), junk.size(), MSG_DONTWAIT)) > 0;) {
      bytes += static_cast<size_t>(n);
    }
    return bytes;
  }
  void Skip(size_t bytes) {
    std::string junk(bytes, '\0');
    ASSERT_TRUE(
        ReadFull(theirs_.get(), std::as_writable_bytes(std::span(junk)), Deadline::In(60s)));
  }
  // All frames that stand in the socket now: "m<pid>", "d<bytes>", "e<stream>".
  std::string Received() {
    std::string text;
    for (;;) {
      auto frame = buffer_.Next();
      EXPECT_TRUE(frame);
      if (*frame) {
        switch ((*frame)->kind) {
          case wire::FrameKind::kMessage:
            text +=
                "m" + std::to_string(wire::DecodeMessage((*frame)->payload)->exec_started().pid());
            break;
          case wire::FrameKind::kData:
            text += "d" + std::to_string((*frame)->payload.size());
            break;
          case wire::FrameKind::kEnd:
            text += "e" + std::to_string(static_cast<int>((*frame)->stream));
        }
        continue;
      }
      const auto room = buffer_.Prepare();
      const ssize_t n = recv(theirs_.get(), room.data(), room.size(), MSG_DONTWAIT);
      if (n <= 0) return text;
      buffer_.Commit(static_cast<size_t>(n));
    }
  }
  static v1::Envelope Message(uint32_t number) {
    v1::Envelope message;
    message.mutable_exec_started()->set_pid(number);
    return message;
  }

  UniqueFd ours_;
  UniqueFd theirs_;
  wire::FrameBuffer buffer_;
  BufferPool pool_;
  std::optional<Outbox> outbox_;
};

TEST_F(OutboxTest, KeepsTheOrderOfMessagesAndData) {
  outbox_->Push(Message(1));
  outbox_->Push(Message(2));
  outbox_->PushData(wire::Stream::kStdout, pool_.Take(), 100);
  outbox_->PushEnd(wire::Stream::kStdout);
  outbox_->Push(Message(3));
  EXPECT_FALSE(outbox_->CanTakeData());
  ASSERT_TRUE(outbox_->Flush());
  EXPECT_TRUE(outbox_->empty());
  EXPECT_EQ(Received(), "m1m2d100e1m3");
}

TEST_F(OutboxTest, AFullSocketLosesNothingAndHoldsOneFrame) {
  const size_t junk = FillSocket();
  outbox_->Push(Message(1));
  outbox_->PushData(wire::Stream::kStderr, pool_.Take(), BufferPool::kPayloadBytes);
  outbox_->Push(Message(2));
  ASSERT_TRUE(outbox_->Flush()) << "a full socket is no error";
  EXPECT_FALSE(outbox_->empty());
  EXPECT_FALSE(outbox_->CanTakeData());
  Skip(junk);
  std::string received;
  while (!outbox_->empty()) {
    ASSERT_TRUE(outbox_->Flush());
    received += Received();
  }
  received += Received();
  size_t bytes = 0;
  for (size_t at = 0; (at = received.find('d', at)) != std::string::npos; ++at) {
    bytes += std::stoul(received.substr(at + 1));
  }
  EXPECT_EQ(bytes, BufferPool::kPayloadBytes);
  EXPECT_TRUE(received.starts_with("m1d")) << received;
  EXPECT_TRUE(received.ends_with("m2")) << received;
  EXPECT_TRUE(outbox_->CanTakeData());
}

TEST_F(OutboxTest, AGoneHostIsAnErrorAndNoSignal) {
  theirs_.Reset();
  outbox_->Push(Message(1));
  const auto sent = outbox_->Flush();
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().errnum, EPIPE);
}

TEST(BufferPoolTest, GivesBackWhatItTook) {
  BufferPool pool;
  const std::byte* first = nullptr;
  {
    const auto buffer = pool.Take();
    first = buffer.bytes().data();
  }
  const auto again = pool.Take();
  EXPECT_EQ(again.bytes().data(), first);
  EXPECT_NE(pool.Take().bytes().data(), first);
}

}  // namespace
}  // namespace berth::agent
