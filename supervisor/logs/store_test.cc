// SPDX-License-Identifier: Apache-2.0
//
// The store through crashes, full disks and its own bounds. A disk that is full is made by
// RLIMIT_FSIZE: the kernel then refuses to write on, and gives another errno.
#include "supervisor/logs/store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "protocol/base/clock.h"
#include "protocol/base/io.h"

namespace berth::logs {
namespace {

namespace fs = std::filesystem;

constexpr BootId kFirst = {1, 2, 3};
constexpr BootId kSecond = {4, 5, 6};

class StoreTest : public testing::Test {
 protected:
  StoreTest() {
    char name[] = "/tmp/berth-test-XXXXXX";
    EXPECT_NE(mkdtemp(name), nullptr);
    root_ = name;
  }
  ~StoreTest() override { fs::remove_all(root_); }

  std::string dir() const { return root_ + "/logs"; }
  std::unique_ptr<Store> Open(StoreBounds bounds = {}) {
    auto store = Store::Open(dir(), bounds);
    EXPECT_TRUE(store) << store.error().Message();
    return std::move(*store);
  }
  std::vector<std::string> Files() const {
    std::vector<std::string> files;
    for (const auto& entry : fs::directory_iterator(dir())) files.push_back(entry.path());
    std::ranges::sort(files);
    return files;
  }

 private:
  std::string root_;
};

std::string Source(uint16_t number, std::string_view name) {
  std::string out;
  AddSource(out, number, name);
  return out;
}

std::string Line(uint64_t seq, std::string_view text, uint8_t level = 6, int64_t at_ns = -1,
                 uint16_t source = 1) {
  LogRecordHeader header;
  header.seq = seq;
  header.source = source;
  header.level = level;
  header.realtime_ns = at_ns < 0 ? static_cast<int64_t>(seq) * 1000 : at_ns;
  std::string out;
  AddRecord(out, header, text);
  return out;
}

// "1:3 text", a line each; gaps as "1:4-9 ERRNO".
std::string Show(const std::vector<logs::Line>& lines) {
  std::string out;
  for (const logs::Line& line : lines) {
    out += std::to_string(line.boot) + ":";
    if (line.gap) {
      out += std::to_string(line.gap->from) + "-" + std::to_string(line.gap->to) + " " +
             ErrnoName(line.gap->errnum) + "\n";
    } else {
      out += std::to_string(line.header.seq) + " " + line.source + " " + line.text + "\n";
    }
  }
  return out;
}

std::vector<logs::Line> ReadAll(Store& store, Position at = {}, const Filter& filter = {},
                                PageBounds bounds = {}) {
  std::vector<logs::Line> lines;
  for (int pages = 0;; ++pages) {
    auto page = store.Read(at, filter, bounds);
    EXPECT_TRUE(page) << page.error().Message();
    if (!page || pages > 100'000) return lines;
    lines.insert(lines.end(), page->lines.begin(), page->lines.end());
    if (page->end) return lines;
    EXPECT_NE(page->next, at) << "a page that gets nowhere";
    at = page->next;
  }
}

void Keep(Store& store, const BootId& boot, const std::string& records) {
  const auto kept = store.Append(boot, records);
  ASSERT_TRUE(kept) << kept.error().Message();
}

TEST_F(StoreTest, IsNothingUntilSomethingIsWritten) {
  const auto store = Open();
  EXPECT_TRUE(store->empty());
  EXPECT_FALSE(store->tail().boot_id);
  EXPECT_EQ(Show(ReadAll(*store)), "");
  EXPECT_FALSE(fs::exists(dir()));
}

TEST_F(StoreTest, KeepsBootsInOrderAndGoesOnWhereItStood) {
  {
    const auto store = Open();
    Keep(*store, kFirst, Source(1, "web") + Line(1, "a") + Line(2, "b"));
    Keep(*store, kSecond, Source(1, "db") + Line(1, "c"));
  }
  const auto store = Open();
  EXPECT_EQ(store->tail().boot_id, kSecond);
  EXPECT_EQ(store->tail().last_seq, 1U);
  EXPECT_EQ(store->tail().sources, (Sources{{1, "db"}}));
  Keep(*store, kSecond, Line(2, "d"));
  Keep(*store, kFirst, Source(1, "web") + Line(1, "again"));
  EXPECT_EQ(Show(ReadAll(*store)), "1:1 web a\n1:2 web b\n2:1 db c\n2:2 db d\n3:1 web again\n");
  EXPECT_EQ(Show(ReadAll(*store, {1, 2})), "2:1 db c\n2:2 db d\n3:1 web again\n");
  EXPECT_EQ(Show(ReadAll(*store, {2, 1})), "2:2 db d\n3:1 web again\n");
}

TEST_F(StoreTest, ANumberNeverComesTwiceAndNeverGoesBack) {
  const auto store = Open();
  Keep(*store, kFirst, Source(1, "web") + Line(1, "a"));
  for (const uint64_t seq : {0UL, 1UL, 3UL}) {
    EXPECT_EQ(store->Append(kFirst, Line(seq, "x")).error().errnum, EINVAL) << seq;
  }
  EXPECT_EQ(store->Append(kFirst, Line(2, "x").substr(0, 41)).error().errnum, EINVAL);
  Keep(*store, kFirst, Line(2, "b"));
  EXPECT_EQ(Show(ReadAll(*store)), "1:1 web a\n1:2 web b\n");
}

TEST_F(StoreTest, WhereverACrashCutsTheLastBatchTheOnesBeforeAreWhole) {
  {
    const auto store = Open();
    Keep(*store, kFirst, Source(1, "web") + Line(1, "a"));
    Keep(*store, kFirst, Line(2, "b") + Line(3, "c"));
  }
  const std::string file = Files().at(0);
  const auto whole = ReadFile(file.c_str(), 1 << 20).value();
  const size_t batch = sizeof(BatchHeader) + 2 * PaddedLogRecord(sizeof(LogRecordHeader) + 1);
  for (size_t size = whole.size() - batch; size < whole.size(); ++size) {
    for (const bool zeros : {false, true}) {
      // Of what was not durable the disk may have nothing, or zeros.
      std::string torn = whole.substr(0, size);
      if (zeros) torn.resize(whole.size());
      std::ofstream(file, std::ios::binary | std::ios::trunc) << torn;
      const bool nothing_lost = torn == whole;
      const auto store = Open();
      ASSERT_EQ(store->tail().last_seq, nothing_lost ? 3U : 1U) << size;
      if (nothing_lost) continue;
      ASSERT_EQ(fs::file_size(file), whole.size() - batch) << size;
      Keep(*store, kFirst, Line(2, "B") + Line(3, "C"));
      ASSERT_EQ(Show(ReadAll(*store)), "1:1 web a\n1:2 web B\n1:3 web C\n") << size;
    }
  }
}

TEST_F(StoreTest, ASegmentThatWasBegunAndNoMoreIsTakenAway) {
  {
    const auto store = Open();
    Keep(*store, kFirst, Source(1, "web") + Line(1, "a"));
    Keep(*store, kSecond, Source(1, "web") + Line(1, "b"));
  }
  const std::string second = Files().at(1);
  for (size_t size = 0; size <= sizeof(SegmentHeader) + 20; ++size) {
    const auto whole = ReadFile(second.c_str(), 1 << 20).value();
    fs::resize_file(second, size);
    const auto store = Open();
    ASSERT_EQ(store->tail().boot_id, kFirst) << size;
    ASSERT_FALSE(fs::exists(second)) << size;
    std::ofstream(second, std::ios::binary) << whole;
  }
}

TEST_F(StoreTest, KilledAtAnyMomentItHasAllThatItConfirmedAndInOrder) {
  uint64_t confirmed = 0;
  for (int round = 0; round < 20; ++round) {
    int pipe_fds[2];
    ASSERT_EQ(pipe(pipe_fds), 0);
    const UniqueFd from(pipe_fds[0]);
    UniqueFd to(pipe_fds[1]);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto store = Store::Open(dir(), {.max_bytes = 1 << 20, .segment_bytes = 16 * 1024});
      if (!store) _exit(1);
      uint64_t seq = (*store)->tail().last_seq;
      for (;;) {
        std::string batch = seq == 0 ? Source(1, "web") : "";
        for (int i = 0; i < 5; ++i, ++seq) batch += Line(seq + 1, std::string(seq % 700, 'x'));
        if (!(*store)->Append(kFirst, batch)) _exit(1);
        if (write(to.get(), &seq, sizeof(seq)) != sizeof(seq)) _exit(1);
      }
    }
    to.Reset();
    uint64_t seq = 0;
    for (int i = 0; i <= round; ++i) {
      ASSERT_TRUE(ReadFull(from.get(), std::as_writable_bytes(std::span(&seq, 1)),
                           Deadline::In(std::chrono::seconds(20))));
    }
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it was to write until it is killed";
    while (read(from.get(), &seq, sizeof(seq)) == sizeof(seq)) confirmed = seq;
    const auto store = Open({.max_bytes = 1 << 20, .segment_bytes = 16 * 1024});
    ASSERT_GE(store->tail().last_seq, confirmed);
    uint64_t expected = 0;
    for (const logs::Line& line : ReadAll(*store)) {
      ASSERT_FALSE(line.gap) << Show({line});
      if (expected != 0) ASSERT_EQ(line.header.seq, expected);
      expected = line.header.seq + 1;
    }
    ASSERT_EQ(expected, store->tail().last_seq + 1);
  }
}

TEST_F(StoreTest, StaysWithinItsBoundAndTheOldestGoesFirst) {
  const StoreBounds bounds{.max_bytes = 64 * 1024, .segment_bytes = 8 * 1024};
  const auto store = Open(bounds);
  Keep(*store, kFirst, Source(1, "web"));
  for (uint64_t seq = 1; seq <= 500; ++seq) {
    Keep(*store, kFirst, Line(seq, std::string(200, 'x')));
    uint64_t total = 0;
    for (const std::string& file : Files()) total += fs::file_size(file);
    ASSERT_LE(total, bounds.max_bytes);
  }
  const auto lines = ReadAll(*store);
  ASSERT_FALSE(lines.empty());
  EXPECT_GT(lines.front().header.seq, 200U);
  EXPECT_EQ(lines.front().source, "web") << "each segment names its sources";
  EXPECT_EQ(lines.back().header.seq, 500U);
  EXPECT_EQ(lines.size(), 501 - lines.front().header.seq);
  // Who stands at a record that is gone is told which ones are.
  const auto late = ReadAll(*store, {1, 10});
  ASSERT_TRUE(late.front().gap);
  EXPECT_EQ(late.front().gap->from, 11U);
  EXPECT_EQ(late.front().gap->to, lines.front().header.seq - 1);
  EXPECT_EQ(late.size(), lines.size() + 1);
  // The same after it is opened anew.
  EXPECT_EQ(Show(ReadAll(*Open(bounds))), Show(lines));
}

TEST_F(StoreTest, AGuestThatBootsAgainAndAgainCostsNoMoreFiles) {
  const auto store = Open();
  BootId boot{};
  for (int i = 0; i < 300; ++i) {
    boot[0] = static_cast<uint8_t>(i);
    boot[1] = static_cast<uint8_t>(i >> 8);
    Keep(*store, boot, Source(1, "web") + Line(1, "a"));
  }
  EXPECT_EQ(Files().size(), kMaxSegments);
  const auto page = store->Read({3, 1}, {}, {});
  EXPECT_TRUE(page->lost) << "boots behind the third are gone";
  EXPECT_FALSE(store->Read({299, 1}, {}, {})->lost);
}

TEST_F(StoreTest, AFullDiskLosesRecordsAndSaysSoAsSoonAsThereIsRoom) {
  signal(SIGXFSZ, SIG_IGN);
  const auto store = Open();
  Keep(*store, kFirst, Source(1, "web") + Line(1, "a"));
  const auto size = fs::file_size(Files().at(0));
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit full{size + 30, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &full);
  const auto second = store->Append(kFirst, Line(2, "b"));
  const auto third = store->Append(kFirst, Source(2, "db") + Line(3, "c", 6, -1, 2));
  setrlimit(RLIMIT_FSIZE, &before);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().errnum, EFBIG);
  EXPECT_FALSE(third);
  EXPECT_EQ(store->tail().last_seq, 3U) << "they are lost, not to come again";
  EXPECT_EQ(Show(ReadAll(*store)), "1:1 web a\n");
  Keep(*store, kFirst, Line(4, "d", 6, -1, 2));
  const std::string all = "1:1 web a\n1:2-3 EFBIG\n1:4 db d\n";
  EXPECT_EQ(Show(ReadAll(*store)), all);
  EXPECT_EQ(Show(ReadAll(*Open())), all);
}

TEST_F(StoreTest, AFullDiskAtTheVeryBeginningIsNoDifferent) {
  signal(SIGXFSZ, SIG_IGN);
  const auto store = Open();
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit full{30, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &full);
  EXPECT_FALSE(store->Append(kFirst, Source(1, "web") + Line(1, "a")));
  setrlimit(RLIMIT_FSIZE, &before);
  Keep(*store, kFirst, Line(2, "b"));
  EXPECT_EQ(Show(ReadAll(*store)), "1:1-1 EFBIG\n1:2 web b\n");
}

TEST_F(StoreTest, AHoleInAFileIsAGapToItsReader) {
  const StoreBounds bounds{.max_bytes = 1 << 20, .segment_bytes = 512};
  {
    const auto store = Open(bounds);
    Keep(*store, kFirst, Source(1, "web"));
    for (uint64_t seq = 1; seq <= 30; ++seq) Keep(*store, kFirst, Line(seq, "x"));
  }
  fs::remove(Files().at(1));
  const auto lines = ReadAll(*Open(bounds));
  const auto gap =
      std::ranges::find_if(lines, [](const auto& line) { return line.gap.has_value(); });
  ASSERT_NE(gap, lines.end());
  EXPECT_EQ(gap->gap->errnum, ENODATA);
  EXPECT_EQ((gap - 1)->header.seq + 1, gap->gap->from);
  EXPECT_EQ((gap + 1)->header.seq - 1, gap->gap->to);
}

TEST_F(StoreTest, FiltersByTimeLevelAndSource) {
  const auto store = Open();
  Keep(*store, kFirst,
       Source(1, "web") + Source(2, "db") + Line(1, "a", 3, 100, 1) + Line(2, "b", 6, 200, 2) +
           Line(3, "c", 4, 300, 1));
  EXPECT_EQ(Show(ReadAll(*store, {}, {.since_ns = 200})), "1:2 db b\n1:3 web c\n");
  EXPECT_EQ(Show(ReadAll(*store, {}, {.until_ns = 200})), "1:1 web a\n1:2 db b\n");
  EXPECT_EQ(Show(ReadAll(*store, {}, {.max_level = 4})), "1:1 web a\n1:3 web c\n");
  EXPECT_EQ(Show(ReadAll(*store, {}, {.sources = {"db", "none"}})), "1:2 db b\n");
}

TEST_F(StoreTest, PagesAreBoundedInLinesTextAndWhatIsLookedAt) {
  const auto store = Open({.max_bytes = 8 << 20, .segment_bytes = 256 * 1024});
  std::string whole = Source(1, "web");
  std::string all;
  for (uint64_t seq = 1; seq <= 5000; ++seq) {
    const std::string text = "line " + std::to_string(seq) + std::string(100, '.');
    whole += Line(seq, text, seq % 1000 == 0 ? 3 : 6);
    all += "1:" + std::to_string(seq) + " web " + text + "\n";
    if (seq % 50 == 0) {
      Keep(*store, kFirst, whole);
      whole.clear();
    }
  }
  EXPECT_EQ(store->Read({}, {}, {.lines = 7})->lines.size(), 7U);
  EXPECT_LE(store->Read({}, {}, {.text_bytes = 1000})->lines.size(), 10U);
  const PageBounds narrow{.lines = 100, .scanned_bytes = 1};
  EXPECT_FALSE(store->Read({}, {.max_level = 0}, narrow)->end);
  EXPECT_EQ(Show(ReadAll(*store, {}, {}, narrow)), all);
  EXPECT_EQ(ReadAll(*store, {}, {.max_level = 3}, narrow).size(), 5U);
  EXPECT_EQ(ReadAll(*Open(), {}, {.since_ns = 4000 * 1000, .max_level = 3}, narrow).size(), 2U);
}

TEST_F(StoreTest, FindsTheLastLinesOverBatchesSegmentsAndBoots) {
  const StoreBounds bounds{.max_bytes = 1 << 20, .segment_bytes = 4096};
  const auto store = Open(bounds);
  for (const BootId& boot : {kFirst, kSecond}) {
    Keep(*store, boot, Source(1, "web") + Source(2, "db"));
    for (uint64_t seq = 1; seq <= 100; ++seq) {
      Keep(*store, boot, Line(seq, "x", 6, -1, seq % 10 == 0 ? 2 : 1));
    }
  }
  const auto last = [&](size_t lines, const Filter& filter) {
    BackScan scan{.wanted = lines, .bounds = {.scanned_bytes = 1}};
    int steps = 0;
    while (!scan.done && ++steps < 1000) EXPECT_TRUE(store->FindLast(scan, filter));
    EXPECT_GT(steps, lines > 50 ? 1 : 0) << "it looked at too much at once";
    return ReadAll(*store, scan.at, filter);
  };
  for (const size_t lines : {0UL, 1UL, 2UL, 99UL, 100UL, 101UL, 200UL}) {
    EXPECT_EQ(last(lines, {}).size(), lines);
  }
  EXPECT_EQ(last(500, {}).size(), 200U);
  EXPECT_EQ(Show(last(3, {.sources = {"db"}})), "2:80 db x\n2:90 db x\n2:100 db x\n");
  EXPECT_EQ(last(12, {.sources = {"db"}}).front().header.seq, 90U);
}

}  // namespace
}  // namespace berth::logs
