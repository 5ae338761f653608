// SPDX-License-Identifier: Apache-2.0
//
// Following a guest's log: what the host gets of it, and what outlives an agent.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstring>
#include <map>
#include <optional>
#include <vector>

#include "agent/identity.h"
#include "protocol/base/io.h"
#include "protocol/base/log_ring.h"
#include "protocol/wire/limits.h"
#include "supervisor/guest/dial.h"
#include "tests/agent/agent_rig.h"
#include "tests/agent/raw_client.h"

namespace berth::testing {
namespace {

// What PID 1 keeps of the log, for one agent after the other.
class KeptLog {
 public:
  explicit KeptLog(size_t ring_bytes = kMinLogRingBytes) : ring_(MakeLogRing(ring_bytes).value()) {}

  // A source with a pipe of its own, whose write end this returns.
  int Add(uint16_t number, const std::string& name, uint16_t flags = 0) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    Source source{
        .packet = {.kind = ControlKind::kLogSource, .log_source = number, .log_flags = flags},
        .read = UniqueFd(ends[0]),
        .write = UniqueFd(ends[1]),
        .spool = MakeLogSpool().value()};
    name.copy(source.packet.name, sizeof(source.packet.name) - 1);
    const int write = source.write.get();
    sources_.insert_or_assign(number, std::move(source));
    return write;
  }
  void Hand(const AgentRig& rig, uint16_t number) const {
    const Source& source = sources_.at(number);
    const int fds[] = {source.read.get(), source.spool.get()};
    rig.SendControl(source.packet, fds);
  }
  void HandAll(const AgentRig& rig) const {
    rig.SendControl({.kind = ControlKind::kBootPhasesEnd, .agent_starts = 1});
    const int ring = ring_.get();
    rig.SendControl({.kind = ControlKind::kLogRing}, {&ring, 1});
    for (const auto& [number, source] : sources_) Hand(rig, number);
  }

 private:
  struct Source {
    ControlPacket packet;
    UniqueFd read;
    UniqueFd write;
    UniqueFd spool;
  };
  UniqueFd ring_;
  std::map<uint16_t, Source> sources_;
};

struct Got {
  LogRecordHeader header;
  std::string text;
};

// The host's side of a connection that follows.
class Host {
 public:
  explicit Host(const AgentRig& rig, uint64_t after_seq = 0,
                const std::string& boot_id = agent::MakeAgentHello().boot_id())
      : client_(rig.Connect()) {
    client_.SendBytes(RawClient::Hello(3) + RawClient::Encoded([&](v1::Envelope& message) {
                        message.mutable_log_follow()->set_boot_id(boot_id);
                        message.mutable_log_follow()->set_after_seq(after_seq);
                      }));
    opening_ = client_.ReadMessage();
  }

  const v1::Envelope& opening() const { return opening_; }
  RawClient& client() { return client_; }

  // The next record, whatever its kind; nullopt: the agent closed.
  std::optional<Got> NextAny() {
    for (;;) {
      Got got;
      if (bytes_.size() >= sizeof(got.header)) {
        std::memcpy(&got.header, bytes_.data(), sizeof(got.header));
        EXPECT_GE(got.header.size, sizeof(got.header));
        EXPECT_LE(got.header.size, kMaxLogRecordBytes);
        const size_t padded = PaddedLogRecord(got.header.size);
        if (bytes_.size() >= padded) {
          got.text = bytes_.substr(sizeof(got.header), got.header.size - sizeof(got.header));
          bytes_.erase(0, padded);
          if ((got.header.flags & LogFlag::kSource) != 0) names_[got.header.source] = got.text;
          return got;
        }
      }
      const auto frame = client_.Read();
      if (!frame) return std::nullopt;
      if (frame->kind != wire::FrameKind::kData) continue;
      EXPECT_EQ(frame->stream, wire::Stream::kStdout);
      bytes_ += frame->payload;
    }
  }
  // The next line or gap. Its source has been named.
  Got Next() {
    for (;;) {
      auto got = NextAny();
      if (!got) {
        ADD_FAILURE() << "the agent closed";
        return {};
      }
      if ((got->header.flags & LogFlag::kSource) != 0) continue;
      if ((got->header.flags & LogFlag::kGap) == 0) {
        EXPECT_TRUE(names_.contains(got->header.source)) << got->header.source;
      }
      return std::move(*got);
    }
  }
  void Ack(uint64_t seq) {
    v1::Envelope message;
    message.mutable_log_ack()->set_seq(seq);
    client_.Send(message);
  }
  const std::map<uint16_t, std::string>& names() const { return names_; }

 private:
  RawClient client_;
  v1::Envelope opening_;
  std::string bytes_;
  std::map<uint16_t, std::string> names_;
};

void Write(int fd, std::string_view text) {
  ASSERT_TRUE(WriteFull(fd, text, Deadline::In(kPatience)));
}

uint64_t LastOf(const Got& gap) {
  uint64_t last = 0;
  EXPECT_EQ(gap.text.size(), sizeof(last));
  if (gap.text.size() == sizeof(last)) std::memcpy(&last, gap.text.data(), sizeof(last));
  return last;
}

TEST(LogFollow, SendsWhatWasSaidAndWhatIsSaidNext) {
  const AgentRig rig;
  KeptLog log;
  const int out = log.Add(16, "web");
  const int err = log.Add(17, "web", LogSourceFlag::kStderr);
  log.HandAll(rig);
  Write(out, "<5>first\n");
  Host host(rig);
  ASSERT_TRUE(host.opening().has_log_following());
  const Got first = host.Next();
  EXPECT_EQ(first.text, "first");
  EXPECT_EQ(first.header.seq, 1U);
  EXPECT_EQ(first.header.source, 16);
  EXPECT_EQ(first.header.level, 5);
  EXPECT_GT(first.header.realtime_ns, 0);
  EXPECT_EQ(host.names().at(16), "web");
  EXPECT_EQ(host.names().at(17), "web");
  Write(err, "second\n");
  const Got second = host.Next();
  EXPECT_EQ(second.text, "second");
  EXPECT_EQ(second.header.seq, 2U);
  EXPECT_EQ(second.header.flags, LogFlag::kStderr);
}

TEST(LogFollow, GoesOnBehindWhatTheHostHas) {
  const AgentRig rig;
  KeptLog log;
  const int out = log.Add(16, "web");
  log.HandAll(rig);
  Write(out, "a\nb\nc\n");
  Host first(rig);
  for (const char* text : {"a", "b", "c"}) EXPECT_EQ(first.Next().text, text);
  Host second(rig, 2);
  EXPECT_EQ(second.opening().log_following().oldest_seq(), 1U);
  EXPECT_EQ(second.opening().log_following().next_seq(), 4U);
  EXPECT_EQ(second.Next().text, "c");
  Host of_another_boot(rig, 2, "another boot's");
  EXPECT_EQ(of_another_boot.Next().text, "a");
  Host that_has_more_than_there_is(rig, 1000);
  Write(out, "d\n");
  EXPECT_EQ(that_has_more_than_there_is.Next().text, "d");
}

TEST(LogFollow, NamesASourceThatComesLater) {
  const AgentRig rig;
  KeptLog log;
  log.HandAll(rig);
  Host host(rig);
  const int out = log.Add(40, "later");
  log.Hand(rig, 40);
  Write(out, "x\n");
  EXPECT_EQ(host.Next().text, "x");
  EXPECT_EQ(host.names().at(40), "later");
}

TEST(LogFollow, AGapSaysWhichNumbersAreLost) {
  const AgentRig rig;
  KeptLog log;
  const int out = log.Add(16, "web");
  log.HandAll(rig);
  constexpr uint64_t kLines = 5000;
  {
    Host witness(rig);
    for (uint64_t i = 1; i <= kLines; ++i)
      Write(out, std::to_string(i) + std::string(100, 'x') + "\n");
    // By then all are in the ring; it may have gaps of its own.
    for (uint64_t seq = 0; seq < kLines;) seq = witness.Next().header.seq;
  }
  Host host(rig, 3);
  const uint64_t oldest = host.opening().log_following().oldest_seq();
  ASSERT_GT(oldest, 5U);
  const Got gap = host.Next();
  EXPECT_EQ(gap.header.flags, LogFlag::kGap);
  EXPECT_EQ(gap.header.seq, 4U);
  EXPECT_EQ(LastOf(gap), oldest - 1);
  for (uint64_t seq = oldest; seq <= kLines; ++seq) {
    const Got line = host.Next();
    ASSERT_EQ(line.header.seq, seq);
    ASSERT_EQ(line.text, std::to_string(seq) + std::string(100, 'x'));
  }
}

TEST(LogFollow, AHostThatDoesNotReadHoldsNobody) {
  const AgentRig rig;
  KeptLog log;
  const int out = log.Add(16, "web");
  log.HandAll(rig);
  Host silent(rig);
  Host host(rig);
  // More than sockets and ring take: each is read before the next is written.
  for (uint64_t i = 1; i <= 200; ++i) {
    Write(out, std::string(20'000, 'x') + "\n");
    ASSERT_EQ(host.Next().header.seq, i);
  }
  // The silent one is told what it missed.
  uint64_t next = 1;
  int gaps = 0;
  while (next <= 200) {
    const Got got = silent.Next();
    ASSERT_EQ(got.header.seq, next);
    const bool gap = (got.header.flags & LogFlag::kGap) != 0;
    next = (gap ? LastOf(got) : next) + 1;
    gaps += gap ? 1 : 0;
  }
  EXPECT_GE(gaps, 1);
}

TEST(LogFollow, TheFifthHostReplacesTheFirst) {
  const AgentRig rig;
  KeptLog log;
  const int out = log.Add(16, "web");
  log.HandAll(rig);
  std::vector<Host> hosts;
  for (int i = 0; i < wire::kMaxFollowers + 1; ++i) hosts.emplace_back(rig);
  while (hosts[0].NextAny()) {
  }
  Write(out, "x\n");
  for (size_t i = 1; i < hosts.size(); ++i) EXPECT_EQ(hosts[i].Next().text, "x");
}

TEST(LogFollow, EachLineComesOnceAcrossAgents) {
  KeptLog log;
  const int out = log.Add(16, "web");
  uint64_t seq = 0;
  int line = 0;
  for (int life = 0; life < 5; ++life) {
    // While there is none; and the first half of one.
    Write(out, "line " + std::to_string(++line) + "\nli");
    const AgentRig rig;
    log.HandAll(rig);
    Host host(rig, seq);
    EXPECT_EQ(host.Next().text, "line " + std::to_string(line));
    Write(out, "ne " + std::to_string(++line) + "\n");
    const Got got = host.Next();
    EXPECT_EQ(got.text, "line " + std::to_string(line)) << life;
    seq += 2;
    EXPECT_EQ(got.header.seq, seq);
  }
}

TEST(LogFollow, AServiceThatBlocksWaitsForTheHost) {
  const AgentRig rig;
  KeptLog log;
  const int out = log.Add(16, "careful", LogSourceFlag::kBlock);
  log.HandAll(rig);
  constexpr uint64_t kLines = 6000;
  std::thread writer([&] {
    for (uint64_t i = 1; i <= kLines; ++i)
      Write(out, std::to_string(i) + std::string(100, 'x') + "\n");
  });
  Host host(rig);
  // It is read to what the ring has room for, and not acknowledged: there is no more.
  constexpr size_t kRoom = kMinLogRingBytes - kMinLogRingBytes / kLogRingShareOfOthers;
  const uint64_t ring_holds = kRoom / PaddedLogRecord(sizeof(LogRecordHeader) + 104);
  uint64_t seq = 0;
  while (seq < ring_holds) ASSERT_EQ(host.Next().header.seq, ++seq);
  Host newcomer(rig, seq);
  EXPECT_LE(newcomer.opening().log_following().next_seq(), ring_holds + 20);
  EXPECT_EQ(newcomer.opening().log_following().oldest_seq(), 1U);
  // From now on it keeps what it gets.
  host.Ack(seq);
  while (seq < kLines) {
    const Got got = host.Next();
    ASSERT_EQ(got.header.flags, 0) << "no gap";
    ASSERT_EQ(got.header.seq, ++seq);
    ASSERT_EQ(got.text, std::to_string(seq) + std::string(100, 'x'));
    if (seq % 100 == 0) host.Ack(seq);
  }
  writer.join();
}

TEST(LogFollow, TheLastLinesComeBeforeTheGuestEnds) {
  AgentRig rig;
  KeptLog log;
  const int out = log.Add(16, "web");
  log.HandAll(rig);
  Host host(rig);
  Write(out, "first\n");
  EXPECT_EQ(host.Next().text, "first");
  host.Ack(1);
  // In the pipe when PID 1 ends the agent, and without its end.
  Write(out, "panic: at the disco\nlast wor");
  rig.Terminate();
  EXPECT_EQ(host.Next().text, "panic: at the disco");
  Got last = host.Next();
  EXPECT_EQ(last.header.flags, LogFlag::kPartial);
  EXPECT_EQ(last.text, "last wor");
  host.Ack(last.header.seq);
  rig.Join();
}

// A job that is over before its host had the time to come.
TEST(LogFollow, TheLastLinesWaitForAHostThatWillCome) {
  AgentRig rig;
  const UniqueFd bell(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto endpoint = guest::UnixEndpoint(rig.ready_path()).value();
  ASSERT_EQ(bind(bell.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())), 0);
  ASSERT_EQ(listen(bell.get(), 1), 0);
  KeptLog log;
  const int out = log.Add(16, "job");
  log.HandAll(rig);
  RawClient caller(UniqueFd(accept4(bell.get(), nullptr, nullptr, SOCK_CLOEXEC)));
  EXPECT_TRUE(caller.ReadMessage().has_ready());
  caller.SendBytes(RawClient::Hello(3));
  v1::Envelope ack;
  ack.mutable_ready_ack();
  caller.Send(ack);
  EXPECT_FALSE(caller.Read());
  Write(out, "the job is done\n");
  rig.Terminate();
  Host host(rig);
  EXPECT_EQ(host.Next().text, "the job is done");
  host.Ack(1);
  rig.Join();
}

TEST(LogFollow, ALineWithoutItsEndComesAfterAWhile) {
  const AgentRig rig;
  KeptLog log;
  const int out = log.Add(16, "web");
  log.HandAll(rig);
  Host host(rig);
  Write(out, "login: ");
  const Got prompt = host.Next();
  EXPECT_EQ(prompt.text, "login: ");
  EXPECT_EQ(prompt.header.flags, LogFlag::kPartial);
}

TEST(LogFollow, AGuestWithoutALogSaysSo) {
  const AgentRig rig;
  const Host host(rig);
  EXPECT_TRUE(host.opening().has_failure());
  EXPECT_EQ(host.opening().failure().errnum(), ENODEV);
}

TEST(LogFollow, IsNoCallOfAnEarlierGeneration) {
  const AgentRig rig;
  KeptLog log;
  log.HandAll(rig);
  RawClient client(rig.Connect());
  client.SendBytes(RawClient::Hello(2));
  v1::Envelope message;
  message.mutable_log_follow();
  client.Send(message);
  EXPECT_EQ(client.ReadFailure().errnum(), EPROTO);
}

TEST(LogFollow, ElseThanLogAckEndsTheConnection) {
  const AgentRig rig;
  KeptLog log;
  log.HandAll(rig);
  Host host(rig);
  v1::Envelope message;
  message.mutable_shutdown();
  host.client().Send(message);
  // The kernel's log may have been named before.
  while (const auto got = host.NextAny()) EXPECT_EQ(got->header.flags, LogFlag::kSource);
}

}  // namespace
}  // namespace berth::testing
