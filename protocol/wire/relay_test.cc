// SPDX-License-Identifier: Apache-2.0
#include "protocol/wire/relay.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "protocol/wire/channel.h"
#include "protocol/wire/handshake.h"

namespace berth::wire {
namespace {

using Progress = Relay::Progress;

std::array<UniqueFd, 2> Pair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) std::abort();
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

std::string Frame(FrameKind kind, Stream stream, std::string_view payload = {}) {
  const HeaderBytes header = EncodeHeader({kind, stream, static_cast<uint32_t>(payload.size())});
  return std::string(reinterpret_cast<const char*>(header.data()), header.size()) +
         std::string(payload);
}

std::string FailureFrame(int errnum) {
  v1::Envelope message;
  *message.mutable_failure() = ToFailure(Error{"forward", errnum, "why", {}});
  return EncodeMessage(message).value();
}

bool Put(const UniqueFd& fd, std::string_view bytes) {
  return send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(bytes.size());
}

// What is there now; "<eof>" behind it where that is the end.
std::string Get(const UniqueFd& fd) {
  std::string out;
  char chunk[4096];
  for (;;) {
    const ssize_t n = read(fd.get(), chunk, sizeof(chunk));
    if (n == 0) return out + "<eof>";
    if (n < 0) return out + (errno == EAGAIN ? "" : "<error>");
    out.append(chunk, static_cast<size_t>(n));
  }
}

// The agent's side: data to the host are stream 1, from it stream 0.
class RelayTest : public testing::Test {
 protected:
  RelayEnds Ends() const {
    return {.framed = framed_[0].get(),
            .source = plain_[0].get(),
            .sink = plain_[0].get(),
            .out = Stream::kStdout,
            .in = Stream::kStdin,
            .pipe_sink = {}};
  }
  Relay::OnMessage Take() {
    return [this](const v1::Envelope& message) -> Result<> {
      messages_.push_back(message);
      return {};
    };
  }
  Progress Round(Relay& relay) {
    for (int i = 0; i < 10'000; ++i) {
      const auto progress = relay.Round();
      if (!progress) {
        error_ = progress.error();
        return Progress::kDone;
      }
      if (*progress != Progress::kMore) return *progress;
    }
    ADD_FAILURE() << "it never waits";
    return Progress::kDone;
  }

  std::array<UniqueFd, 2> framed_ = Pair();
  std::array<UniqueFd, 2> plain_ = Pair();
  RelayPool pool_;
  std::vector<v1::Envelope> messages_;
  std::optional<Error> error_;
};

TEST_F(RelayTest, BytesGoBothWaysAndEachDirectionEndsByItself) {
  Relay relay(pool_, Ends(), Take());
  relay.Open();
  EXPECT_EQ(Round(relay), Progress::kWait);
  EXPECT_EQ(relay.wants().framed, POLLIN);
  EXPECT_EQ(relay.wants().source, POLLIN);
  EXPECT_EQ(relay.wants().sink, 0);

  ASSERT_TRUE(Put(plain_[1], "answer"));
  ASSERT_TRUE(Put(framed_[1], Frame(FrameKind::kData, Stream::kStdin, "question") +
                                  Frame(FrameKind::kEnd, Stream::kStdin)));
  EXPECT_EQ(Round(relay), Progress::kWait);
  EXPECT_EQ(Get(plain_[1]), "question<eof>");
  EXPECT_EQ(Get(framed_[1]), Frame(FrameKind::kData, Stream::kStdout, "answer"));

  // The other direction still lives.
  ASSERT_TRUE(Put(plain_[1], "more"));
  EXPECT_EQ(Round(relay), Progress::kWait);
  EXPECT_EQ(Get(framed_[1]), Frame(FrameKind::kData, Stream::kStdout, "more"));
  plain_[1].Reset();
  EXPECT_EQ(Round(relay), Progress::kDone);
  EXPECT_FALSE(error_);
  EXPECT_EQ(Get(framed_[1]), Frame(FrameKind::kEnd, Stream::kStdout));
}

TEST_F(RelayTest, FramesMayComeByteByByte) {
  Relay relay(pool_, Ends(), Take());
  relay.Open();
  for (const char c : Frame(FrameKind::kData, Stream::kStdin, "ab") +
                          Frame(FrameKind::kData, Stream::kStdin, "c")) {
    ASSERT_TRUE(Put(framed_[1], std::string_view(&c, 1)));
    ASSERT_EQ(Round(relay), Progress::kWait);
  }
  EXPECT_EQ(Get(plain_[1]), "abc");
}

TEST_F(RelayTest, NothingFlowsBeforeItIsOpened) {
  Relay relay(pool_, Ends(), Take());
  ASSERT_TRUE(Put(plain_[1], "early"));
  EXPECT_EQ(Round(relay), Progress::kWait);
  EXPECT_EQ(relay.wants().source, 0);
  EXPECT_EQ(Get(framed_[1]), "");
  ASSERT_TRUE(Put(framed_[1], Frame(FrameKind::kData, Stream::kStdin, "x")));
  Round(relay);
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->errnum, EPROTO);
}

TEST_F(RelayTest, MessagesComeBetweenTheData) {
  Relay relay(pool_, Ends(), Take());
  v1::Envelope message;
  message.mutable_forwarded();
  ASSERT_TRUE(Put(framed_[1], EncodeMessage(message).value()));
  EXPECT_EQ(Round(relay), Progress::kWait);
  ASSERT_EQ(messages_.size(), 1U);
  EXPECT_TRUE(messages_[0].has_forwarded());
  relay.Open();
  ASSERT_TRUE(Put(framed_[1], FailureFrame(ECONNREFUSED)));
  Round(relay);
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->errnum, ECONNREFUSED);
}

TEST_F(RelayTest, WhatIsNotOfTheProtocolEndsIt) {
  const std::string bad[] = {
      Frame(FrameKind::kData, Stream::kStdout, "x"),
      Frame(FrameKind::kEnd, Stream::kStderr),
      Frame(FrameKind::kEnd, Stream::kStdin) + Frame(FrameKind::kData, Stream::kStdin, "x"),
      Frame(FrameKind::kEnd, Stream::kStdin) + Frame(FrameKind::kEnd, Stream::kStdin),
      Frame(FrameKind::kMessage, {}),
      std::string("\xff\xff\xff\x7f\x02\0\0\0", 8),
      std::string("\x01\x40\0\0\x01\0\0\0", 8)};  // a message of 16 KiB and one byte
  for (const std::string& bytes : bad) {
    framed_ = Pair();
    plain_ = Pair();
    Relay relay(pool_, Ends(), Take());
    relay.Open();
    error_.reset();
    ASSERT_TRUE(Put(framed_[1], bytes));
    Round(relay);
    ASSERT_TRUE(error_) << bytes;
    EXPECT_TRUE(error_->errnum == EPROTO || error_->errnum == EMSGSIZE) << error_->Message();
  }
}

TEST_F(RelayTest, AFramedEndThatClosesEarlyIsAReset) {
  Relay relay(pool_, Ends(), Take());
  relay.Open();
  ASSERT_TRUE(Put(framed_[1], Frame(FrameKind::kEnd, Stream::kStdin)));
  framed_[1].Reset();
  Round(relay);
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->errnum, ECONNRESET);
}

TEST_F(RelayTest, AnAnswerStillGoesOutWhenTheSinkHasClosed) {
  Relay relay(pool_, Ends(), Take());
  relay.Open();
  ASSERT_TRUE(Put(plain_[1], "too large"));
  plain_[1].Reset();
  ASSERT_TRUE(Put(framed_[1], Frame(FrameKind::kData, Stream::kStdin, "the rest of it")));
  Round(relay);
  EXPECT_EQ(Get(framed_[1]), Frame(FrameKind::kData, Stream::kStdout, "too large"));
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->step.name(), "forward-reset");
  relay.TellFailure(*error_);
  EXPECT_NE(Get(framed_[1]).find("forward-reset"), std::string::npos);
}

TEST_F(RelayTest, WhyThePeerClosedIsReadAlsoWhereNothingCanBeSentAnyMore) {
  Relay relay(pool_, Ends(), Take());
  relay.Open();
  Round(relay);
  ASSERT_TRUE(Put(framed_[1], FailureFrame(EPROTO)));
  framed_[1].Reset();
  ASSERT_TRUE(Put(plain_[1], "x"));
  Round(relay);
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->errnum, EPROTO);
}

TEST_F(RelayTest, ASlowSinkStopsTheReadingOfTheFramedEnd) {
  Relay relay(pool_, Ends(), Take());
  relay.Open();
  const std::string data(200'000, 'x');
  const std::string frame = Frame(FrameKind::kData, Stream::kStdin, data);
  size_t sent = 0;
  size_t rounds = 0;
  for (; rounds < 1000; ++rounds) {
    const ssize_t n =
        send(framed_[1].get(), frame.data() + sent, frame.size() - sent, MSG_NOSIGNAL);
    if (n > 0) sent = (sent + static_cast<size_t>(n)) % frame.size();
    ASSERT_EQ(Round(relay), Progress::kWait);
    if (n < 0 && relay.wants().sink != 0) break;
  }
  EXPECT_LT(rounds, 1000U) << "it buffers without end";
  EXPECT_EQ(relay.wants().sink, POLLOUT);
  EXPECT_EQ(relay.wants().framed & POLLIN, 0);
  EXPECT_LE(pool_.held(), RelayPool::kMaxChunkBytes);
}

TEST_F(RelayTest, APeerThatHasClosedIsNotPolledWhileTheSinkIsFull) {
  Relay relay(pool_, Ends(), Take());
  relay.Open();
  const std::string frame = Frame(FrameKind::kData, Stream::kStdin, std::string(200'000, 'x'));
  size_t sent = 0;
  while ((relay.wants().sink & POLLOUT) == 0) {
    const ssize_t n =
        send(framed_[1].get(), frame.data() + sent, frame.size() - sent, MSG_NOSIGNAL);
    if (n > 0) sent = (sent + static_cast<size_t>(n)) % frame.size();
    ASSERT_EQ(Round(relay), Progress::kWait);
  }
  framed_[1].Reset();
  ASSERT_TRUE(Put(plain_[1], "x"));
  EXPECT_EQ(Round(relay), Progress::kWait);
  EXPECT_EQ(relay.wants().framed, 0)
      << "poll(2) would say at once, and for ever, that it has closed";
  EXPECT_EQ(relay.wants().sink, POLLOUT);
  // With room in the sink it is seen.
  for (int i = 0; i < 1000 && !error_; ++i) {
    Get(plain_[1]);
    Round(relay);
  }
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->errnum, ECONNRESET);
}

TEST_F(RelayTest, AThousandSlowPeersHoldLittle) {
  std::vector<std::array<UniqueFd, 2>> sockets;
  std::vector<std::unique_ptr<Relay>> relays;
  const std::string data(64 * 1024, 'x');
  for (int i = 0; i < 300; ++i) {
    framed_ = Pair();
    plain_ = Pair();
    relays.push_back(std::make_unique<Relay>(pool_, Ends(), Take()));
    relays.back()->Open();
    // Small buffers, so that rests stay behind.
    const int small = 4096;
    setsockopt(framed_[0].get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    for (int round = 0; round < 8; ++round) {
      [[maybe_unused]] const ssize_t n =
          send(plain_[1].get(), data.data(), data.size(), MSG_NOSIGNAL);
      ASSERT_EQ(Round(*relays.back()), Progress::kWait);
    }
    sockets.push_back(std::move(framed_));
    sockets.push_back(std::move(plain_));
  }
  EXPECT_GT(pool_.held(), RelayPool::kHeldBytes / 2);
  EXPECT_LE(pool_.held(), RelayPool::kHeldBytes + 300 * RelayPool::kMinChunkBytes);
  relays.clear();
  EXPECT_EQ(pool_.held(), 0U);
}

TEST_F(RelayTest, PipesWorkAsWellAndTheirEndIsPassedOn) {
  int to[2];
  int from[2];
  ASSERT_EQ(pipe2(to, O_CLOEXEC | O_NONBLOCK), 0);
  ASSERT_EQ(pipe2(from, O_CLOEXEC), 0);
  const UniqueFd reader(to[0]);
  UniqueFd sink(to[1]);
  const UniqueFd source(from[0]);
  UniqueFd writer(from[1]);
  RelayEnds ends = Ends();
  ends.source = source.get();
  ends.sink = sink.get();
  ends.pipe_sink = std::move(sink);
  Relay relay(pool_, std::move(ends), Take());
  relay.Open();
  EXPECT_EQ(Round(relay), Progress::kWait) << "a pipe that blocks is not waited for";
  ASSERT_EQ(write(writer.get(), "out", 3), 3);
  ASSERT_TRUE(Put(framed_[1], Frame(FrameKind::kData, Stream::kStdin, "in") +
                                  Frame(FrameKind::kEnd, Stream::kStdin)));
  EXPECT_EQ(Round(relay), Progress::kWait);
  EXPECT_EQ(Get(reader), "in<eof>");
  EXPECT_EQ(Get(framed_[1]), Frame(FrameKind::kData, Stream::kStdout, "out"));
  writer.Reset();
  EXPECT_EQ(Round(relay), Progress::kDone);
  EXPECT_FALSE(error_);
}

}  // namespace
}  // namespace berth::wire
