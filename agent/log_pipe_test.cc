// SPDX-License-Identifier: Apache-2.0
#include "agent/log_pipe.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <string>
#include <vector>

#include "protocol/base/io.h"

namespace berth::agent {
namespace {

struct Line {
  std::string text;
  int level;
  bool partial;
  bool operator==(const Line&) const = default;
};
void PrintTo(const Line& line, std::ostream* out) {
  *out << line.level << (line.partial ? " part " : " ") << '"' << line.text.substr(0, 80) << '"';
}

class LogPipeTest : public testing::Test {
 protected:
  LogPipeTest() {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    read_.Reset(ends[0]);
    write_.Reset(ends[1]);
    Restart();
  }
  // As an agent that starts anew: all that it kept in memory is gone.
  void Restart() {
    pipe_.reset();
    ring_.reset();
    ring_.emplace(LogRing::Map(ring_fd_.get()).value());
    pipe_ = LogPipe::Make(context_->get_executor(),
                          {.number = 16, .is_stderr = false, .blocks = blocks_},
                          UniqueFd(dup(read_.get())), UniqueFd(dup(spool_.get())), scratch_, *ring_)
                .value();
  }
  void Write(std::string_view text) const {
    ASSERT_TRUE(WriteFull(write_.get(), text, Deadline::In(std::chrono::seconds(10))));
  }
  LogSource::Took Take() { return pipe_->Take(*ring_); }
  void TakeAll() {
    while (Take() == LogSource::Took::kSome) {
    }
  }
  // Those since the last call.
  std::vector<Line> Lines() {
    std::vector<Line> lines;
    for (at_ = std::max(at_, ring_->tail()); at_ < ring_->head();) {
      const LogRecordHeader header = ring_->HeaderAt(at_);
      std::vector<std::byte> bytes(PaddedLogRecord(header.size));
      ring_->Copy(at_, bytes);
      lines.push_back({std::string(reinterpret_cast<char*>(bytes.data()) + sizeof(header),
                                   header.size - sizeof(header)),
                       header.level, (header.flags & LogFlag::kPartial) != 0});
    }
    return lines;
  }
  size_t SpoolMemory() const {
    struct stat info = {};
    EXPECT_EQ(fstat(spool_.get(), &info), 0);
    return static_cast<size_t>(info.st_blocks) * 512;
  }

  std::unique_ptr<boost::asio::io_context> context_ = std::make_unique<boost::asio::io_context>();
  UniqueFd ring_fd_ = MakeLogRing(kMinLogRingBytes).value();
  UniqueFd spool_ = MakeLogSpool().value();
  UniqueFd read_;
  UniqueFd write_;
  LogScratch scratch_;
  bool blocks_ = false;
  std::optional<LogRing> ring_;
  std::unique_ptr<LogPipe> pipe_;
  uint64_t at_ = 0;
};

TEST_F(LogPipeTest, CutsLinesAndTheirLevels) {
  Write("one\n<3>two\n\n<x>three\n");
  TakeAll();
  EXPECT_EQ(Lines(),
            (std::vector<Line>{
                {"one", 6, false}, {"two", 3, false}, {"", 6, false}, {"<x>three", 6, false}}));
}

TEST_F(LogPipeTest, KeepsNullsAndControlCharacters) {
  Write(std::string_view("a\0b\x1b[1m\r\n", 9));
  TakeAll();
  EXPECT_EQ(Lines(), (std::vector<Line>{{std::string("a\0b\x1b[1m\r", 8), 6, false}}));
}

TEST_F(LogPipeTest, ALineThatDoesNotEndIsFlushedAndGoesOn) {
  Write("<2>be");
  TakeAll();
  EXPECT_TRUE(pipe_->HasPartial());
  EXPECT_TRUE(Lines().empty());
  pipe_->FlushPartial(*ring_);
  EXPECT_FALSE(pipe_->HasPartial());
  Write("gin<3>end\nnext\n");
  TakeAll();
  EXPECT_EQ(Lines(),
            (std::vector<Line>{{"be", 2, true}, {"gin<3>end", 2, false}, {"next", 6, false}}));
}

TEST_F(LogPipeTest, ALongLineComesInParts) {
  const std::string part(kMaxLogTextBytes, 'p');
  std::string all = part + part + "end\n";
  // More than a pipe holds.
  for (std::string_view rest = all; !rest.empty();) {
    const std::string_view some = rest.substr(0, 30'000);
    rest.remove_prefix(some.size());
    Write(some);
    TakeAll();
  }
  EXPECT_EQ(Lines(), (std::vector<Line>{{part, 6, true}, {part, 6, true}, {"end", 6, false}}));
}

TEST_F(LogPipeTest, ALineOfTheLongestLengthIsOne) {
  const std::string line(kMaxLogTextBytes, 'l');
  Write(line.substr(0, 40'000));
  TakeAll();
  Write(line.substr(40'000) + "\n");
  TakeAll();
  EXPECT_EQ(Lines(), (std::vector<Line>{{line, 6, false}}));
}

TEST_F(LogPipeTest, ByteByByteIsOneLine) {
  for (const char c : std::string("slowly\n")) {
    Write({&c, 1});
    TakeAll();
  }
  EXPECT_EQ(Lines(), (std::vector<Line>{{"slowly", 6, false}}));
}

TEST_F(LogPipeTest, GoesOnInTheMiddleOfALineAfterARestart) {
  Write("whole\n<1>ha");
  TakeAll();
  Restart();
  Write("lf\n");
  TakeAll();
  EXPECT_EQ(Lines(), (std::vector<Line>{{"whole", 6, false}, {"half", 1, false}}));
  Write("<1>ha");
  TakeAll();
  pipe_->FlushPartial(*ring_);
  Restart();
  Write("lf\n");
  TakeAll();
  EXPECT_EQ(Lines(), (std::vector<Line>{{"ha", 1, true}, {"lf", 1, false}}));
}

TEST_F(LogPipeTest, TheSpoolHoldsNoMoreThanWhatIsOnItsWay) {
  const std::string lines = [] {
    std::string text;
    for (int i = 0; i < 3000; ++i) text += "a line of the usual length\n";
    return text.substr(0, 60'000);
  }();
  for (int i = 0; i < 200; ++i) {
    Write(lines);
    TakeAll();
  }
  EXPECT_LE(SpoolMemory(), 512U * 1024);
  Restart();
  Write("x\n");
  TakeAll();
  EXPECT_LE(SpoolMemory(), 512U * 1024);
}

TEST_F(LogPipeTest, OneThatBlocksTakesNoMoreThanTheHostHasRoomFor) {
  blocks_ = true;
  Restart();
  const std::string chunk(1000, 'x');
  int written = 0;
  LogSource::Took took = LogSource::Took::kNothing;
  for (; took != LogSource::Took::kNoRoom && written < 2000; ++written) {
    Write(chunk + "\n");
    took = Take();
  }
  ASSERT_EQ(took, LogSource::Took::kNoRoom);
  // The pipe fills: the service is the one that waits.
  ASSERT_TRUE(SetNonBlocking(write_.get(), true));
  while (write(write_.get(), "more\n", 5) > 0) {
    EXPECT_EQ(Take(), LogSource::Took::kNoRoom);
  }
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_LE(SpoolMemory(), 512U * 1024);
  EXPECT_EQ(ring_->oldest_seq(), 1U);
  // What the host got makes room, and nothing was lost.
  const uint64_t last = ring_->next_seq() - 1;
  ring_->Ack(last);
  TakeAll();
  EXPECT_GT(ring_->next_seq() - 1, last);
}

// Each line once, whenever the process that takes them is killed.
TEST_F(LogPipeTest, LosesAndRepeatsNothingWhenItsProcessIsKilled) {
  constexpr int kLines = 60'000;
  // A turn's records and more: nothing may be dropped before the parent has looked.
  constexpr size_t kRingBytes = 8 << 20;
  ring_fd_ = MakeLogRing(kRingBytes).value();
  Restart();
  const pid_t writer = fork();
  ASSERT_GE(writer, 0);
  if (writer == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    FILE* const out = fdopen(write_.get(), "w");
    for (int i = 1; i <= kLines; ++i) std::fprintf(out, "%d\n", i);
    std::fclose(out);
    _exit(0);
  }
  int expected = 1;
  int kills = 0;
  suseconds_t life_us = 200;
  while (expected <= kLines) {
    const pid_t taker = fork();
    ASSERT_GE(taker, 0);
    if (taker == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      // The parent's epoll is the parent's.
      [[maybe_unused]] auto* const pipe = pipe_.release();
      [[maybe_unused]] auto* const context = context_.release();
      context_ = std::make_unique<boost::asio::io_context>();
      Restart();
      // Its death, at whatever instruction that finds it.
      const itimerval death{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_usec = life_us}};
      setitimer(ITIMER_REAL, &death, nullptr);
      for (;;) {
        if (Take() == LogSource::Took::kNothing) {
          [[maybe_unused]] const auto readable =
              PollFor(read_.get(), POLLIN, Deadline::In(std::chrono::seconds(60)));
        }
        if (ring_->head() - at_ > kRingBytes / 2) pause();
      }
    }
    ASSERT_EQ(waitpid(taker, nullptr, 0), taker);
    ++kills;
    Restart();
    // One too short for a single turn of this machine gets nowhere.
    life_us = at_ == ring_->head() ? std::min<suseconds_t>(life_us * 2, 900'000)
                                   : 200 + kills * 211 % 3000;
    for (const Line& line : Lines()) {
      ASSERT_EQ(line.text, std::to_string(expected)) << "after " << kills << " kills";
      ++expected;
    }
  }
  EXPECT_EQ(waitpid(writer, nullptr, 0), writer);
  EXPECT_GT(kills, 5);
}

}  // namespace
}  // namespace berth::agent
