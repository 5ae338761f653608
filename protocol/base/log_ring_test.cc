// SPDX-License-Identifier: Apache-2.0
#include "protocol/base/log_ring.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

namespace berth {
namespace {

struct Seen {
  uint64_t seq;
  uint16_t source;
  std::string text;
  uint64_t position;
};

std::vector<Seen> All(const LogRing& ring) {
  std::vector<Seen> all;
  std::vector<std::byte> bytes(kMaxLogRecordBytes + 8);
  for (uint64_t at = ring.tail(); at < ring.head();) {
    const LogRecordHeader header = ring.HeaderAt(at);
    const size_t n = ring.Copy(at, std::span(bytes).first(PaddedLogRecord(header.size)));
    EXPECT_EQ(n, PaddedLogRecord(header.size));
    if (n == 0) break;
    all.push_back({header.seq, header.source,
                   std::string(reinterpret_cast<const char*>(bytes.data()) + sizeof(header),
                               header.size - sizeof(header)),
                   header.position});
  }
  return all;
}

void Say(LogRing& ring, uint16_t source, std::string_view text, uint64_t position,
         uint8_t flags = 0) {
  ring.Append({.source = source, .level = 5, .flags = flags, .position = position, .text = text},
              {1, 2});
}

TEST(LogRing, KeepsItsSizeWhateverSomeoneTries) {
  const UniqueFd fd = MakeLogRing(1).value();
  struct stat info = {};
  ASSERT_EQ(fstat(fd.get(), &info), 0);
  EXPECT_EQ(static_cast<size_t>(info.st_size), kLogRingHeaderBytes + kMinLogRingBytes);
  EXPECT_NE(ftruncate(fd.get(), 0), 0);
  EXPECT_NE(ftruncate(fd.get(), info.st_size + 4096), 0);
}

TEST(LogRing, GoesOnWhereTheLastProcessWas) {
  const UniqueFd fd = MakeLogRing(kMinLogRingBytes).value();
  {
    LogRing ring = LogRing::Map(fd.get()).value();
    ring.Name(16, "web");
    Say(ring, 16, "one", 4);
    Say(ring, 17, "half", 9, LogFlag::kPartial);
    ring.Commit();
    Say(ring, 16, "never committed", 99);
    ring.Ack(1);
  }
  LogRing ring = LogRing::Map(fd.get()).value();
  EXPECT_FALSE(ring.damaged());
  EXPECT_EQ(ring.NameOf(16), "web");
  ASSERT_EQ(ring.named().size(), 1U);
  EXPECT_EQ(ring.next_seq(), 3U);
  EXPECT_EQ(ring.oldest_seq(), 1U);
  EXPECT_EQ(ring.acked_seq(), 1U);
  EXPECT_EQ(ring.StateOf(16).position, 4U);
  EXPECT_FALSE(ring.StateOf(16).partial);
  EXPECT_EQ(ring.StateOf(17).position, 9U);
  EXPECT_TRUE(ring.StateOf(17).partial);
  EXPECT_EQ(ring.StateOf(17).level, 5);
  const auto all = All(ring);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[1].text, "half");
}

// Of sizes that fit the ring in no even number, so that records pass its end at each offset.
TEST(LogRing, DropsTheOldestAndPassesItsEnd) {
  const UniqueFd fd = MakeLogRing(kMinLogRingBytes).value();
  LogRing ring = LogRing::Map(fd.get()).value();
  for (uint64_t i = 1; i <= 5000; ++i) {
    Say(ring, static_cast<uint16_t>(1 + i % 7), std::to_string(i) + std::string(i * 37 % 2000, 'x'),
        i);
    if (i % 3 == 0) ring.Commit();
  }
  ring.Commit();
  EXPECT_GT(ring.oldest_seq(), 4000U);
  uint64_t seq = ring.oldest_seq();
  for (const Seen& each : All(ring)) {
    EXPECT_EQ(each.seq, seq);
    EXPECT_EQ(each.text, std::to_string(seq) + std::string(seq * 37 % 2000, 'x'));
    ++seq;
  }
  EXPECT_EQ(seq, 5001U);
  const LogRing again = LogRing::Map(fd.get()).value();
  EXPECT_EQ(again.next_seq(), 5001U);
  EXPECT_FALSE(again.damaged());
}

TEST(LogRing, KnowsASourceWhoseRecordsAreAllDropped) {
  const UniqueFd fd = MakeLogRing(kMinLogRingBytes).value();
  {
    LogRing ring = LogRing::Map(fd.get()).value();
    Say(ring, 20, "long ago", 1234, LogFlag::kPartial);
    for (uint64_t i = 0; i < 10'000; ++i) Say(ring, 3, std::string(100, 'k'), i);
    ring.Commit();
  }
  const LogRing ring = LogRing::Map(fd.get()).value();
  EXPECT_EQ(ring.StateOf(20).position, 1234U);
  EXPECT_TRUE(ring.StateOf(20).partial);
  EXPECT_EQ(ring.next_seq(), 10'002U);
}

TEST(LogRing, TakesTheLongestRecords) {
  const UniqueFd fd = MakeLogRing(kMinLogRingBytes).value();
  LogRing ring = LogRing::Map(fd.get()).value();
  for (uint64_t i = 0; i < 50; ++i) Say(ring, 1, std::string(kMaxLogTextBytes, 'a'), i);
  ring.Commit();
  EXPECT_EQ(All(ring).size(), kMinLogRingBytes / PaddedLogRecord(kMaxLogRecordBytes));
}

TEST(LogRing, HasRoomUntilWhatNobodyAcknowledgedWouldGo) {
  const UniqueFd fd = MakeLogRing(kMinLogRingBytes).value();
  LogRing ring = LogRing::Map(fd.get()).value();
  uint64_t count = 0;
  for (; ring.HasRoom(1000); ++count) {
    ASSERT_LT(count, 1000U);
    Say(ring, 1, std::string(1000, 'a'), count);
  }
  EXPECT_EQ(count, kMinLogRingBytes / 1040);
  EXPECT_TRUE(ring.HasRoom(0)) << "a shorter one still fits";
  ring.Ack(1);
  EXPECT_TRUE(ring.HasRoom(1000));
  EXPECT_FALSE(ring.HasRoom(3000));
  ring.Ack(1'000'000);
  EXPECT_EQ(ring.acked_seq(), count);
}

TEST(LogRing, FindsTheRecordBehindANumber) {
  const UniqueFd fd = MakeLogRing(kMinLogRingBytes).value();
  LogRing ring = LogRing::Map(fd.get()).value();
  for (uint64_t i = 1; i <= 10; ++i) Say(ring, 1, std::to_string(i), i);
  ring.Commit();
  EXPECT_EQ(ring.Find(0), ring.tail());
  EXPECT_EQ(ring.HeaderAt(ring.Find(4)).seq, 5U);
  EXPECT_EQ(ring.Find(10), ring.head());
}

// --- A process that is killed. ---

// The bytes of a memfd.
std::vector<char> Snapshot(int fd) {
  struct stat info = {};
  EXPECT_EQ(fstat(fd, &info), 0);
  std::vector<char> bytes(static_cast<size_t>(info.st_size));
  EXPECT_EQ(pread(fd, bytes.data(), bytes.size(), 0), info.st_size);
  return bytes;
}

void Restore(int fd, const std::vector<char>& bytes) {
  ASSERT_EQ(pwrite(fd, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
}

// Append and Commit in steps, in the order that log_ring.h promises: the source's entry, the tail,
// the record, the head. A process that is killed leaves those up to one of them done.
TEST(LogRing, IsWholeAfterEachStepThatItCanBeKilledBehind) {
  const UniqueFd fd = MakeLogRing(kMinLogRingBytes).value();
  std::vector<char> before;
  std::vector<char> after;
  {
    LogRing ring = LogRing::Map(fd.get()).value();
    for (uint64_t i = 1; ring.HasRoom(1000); ++i) {
      Say(ring, static_cast<uint16_t>(i), std::string(1000, 'a'), 1000 + i);
    }
    ring.Commit();
    before = Snapshot(fd.get());
    Say(ring, 500, std::string(1000, 'b'), 1);
    ring.Commit();
    after = Snapshot(fd.get());
  }
  // In the order of the steps; of the header each one's own fields.
  struct Part {
    size_t offset;
    size_t bytes;
  };
  const size_t entry = offsetof(LogRingHeader, sources) + sizeof(LogSourceEntry);
  const Part steps[] = {
      {entry, sizeof(LogSourceEntry)},
      {offsetof(LogRingHeader, dropped_seq), 8},
      {offsetof(LogRingHeader, tail), 8},
      {kLogRingHeaderBytes, kMinLogRingBytes / 2},
      {kLogRingHeaderBytes + kMinLogRingBytes / 2, kMinLogRingBytes / 2},
      {offsetof(LogRingHeader, head), 8},
  };
  const uint64_t last = kMinLogRingBytes / 1040;
  std::vector<char> image = before;
  for (size_t done = 0; done <= std::size(steps); ++done) {
    if (done > 0) {
      const Part& step = steps[done - 1];
      std::memcpy(image.data() + step.offset, after.data() + step.offset, step.bytes);
    }
    Restore(fd.get(), image);
    LogRing ring = LogRing::Map(fd.get()).value();
    EXPECT_FALSE(ring.damaged()) << done;
    const bool committed = done == std::size(steps);
    EXPECT_EQ(ring.next_seq(), last + (committed ? 2 : 1)) << done;
    EXPECT_EQ(ring.StateOf(1).position, 1001U) << done;
    EXPECT_EQ(ring.StateOf(500).position, committed ? 1U : 0U) << done;
    const auto all = All(ring);
    EXPECT_EQ(all.front().seq, done >= 3 ? 2U : 1U) << done;
    EXPECT_EQ(all.back().seq, ring.next_seq() - 1) << done;
  }
  EXPECT_EQ(image, after) << "a step is missing above";
}

TEST(LogRing, IsWholeWheneverItsProcessIsKilled) {
  const UniqueFd fd = MakeLogRing(kMinLogRingBytes).value();
  uint64_t next = 1;
  for (int round = 0; round < 60; ++round) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      LogRing ring = LogRing::Map(fd.get()).value();
      // Its death, at whatever instruction that finds it.
      const itimerval death{.it_interval = {},
                            .it_value = {.tv_sec = 0, .tv_usec = 500 + round * 137}};
      setitimer(ITIMER_REAL, &death, nullptr);
      for (;;) {
        const uint64_t seq = ring.next_seq();
        Say(ring, 7, std::string(seq * 31 % 900, static_cast<char>('a' + seq % 26)), seq);
        if (seq % 4 == 0) ring.Commit();
      }
    }
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    const LogRing ring = LogRing::Map(fd.get()).value();
    ASSERT_FALSE(ring.damaged());
    EXPECT_GE(ring.next_seq(), next);
    next = ring.next_seq();
    EXPECT_EQ(ring.StateOf(7).position, next - 1);
    uint64_t seq = ring.oldest_seq();
    for (const Seen& each : All(ring)) {
      ASSERT_EQ(each.seq, seq);
      ASSERT_EQ(each.position, seq);
      ASSERT_EQ(each.text, std::string(seq * 31 % 900, static_cast<char>('a' + seq % 26)));
      ++seq;
    }
    EXPECT_EQ(seq, next);
  }
  EXPECT_GT(next, 1000U);
}

TEST(LogRing, WhoseRecordsMakeNoSenseIsEmptiedAndNumbersGoOn) {
  const UniqueFd fd = MakeLogRing(kMinLogRingBytes).value();
  uint64_t given = 0;
  {
    LogRing ring = LogRing::Map(fd.get()).value();
    for (uint64_t i = 0; i < 100; ++i) Say(ring, 1, "x", i);
    ring.Commit();
    given = ring.next_seq() - 1;
  }
  const uint32_t no_size = 3;
  ASSERT_EQ(pwrite(fd.get(), &no_size, 4, kLogRingHeaderBytes + 48), 4);
  {
    LogRing ring = LogRing::Map(fd.get()).value();
    EXPECT_TRUE(ring.damaged());
    EXPECT_EQ(ring.tail(), ring.head());
    EXPECT_GT(ring.next_seq(), given);
    given = ring.next_seq();
    Say(ring, 1, "y", 1);
    ring.Commit();
  }
  const LogRing ring = LogRing::Map(fd.get()).value();
  EXPECT_FALSE(ring.damaged());
  EXPECT_EQ(ring.next_seq(), given + 1);
}

TEST(LogRing, IsNotJustAnyFile) {
  EXPECT_EQ(LogRing::Map(MakeLogSpool().value().get()).error().errnum, EINVAL);
}

}  // namespace
}  // namespace berth
