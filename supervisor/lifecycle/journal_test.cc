// SPDX-License-Identifier: Apache-2.0
#include "supervisor/lifecycle/journal.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "supervisor/lifecycle/memory_store.h"

namespace berth::lifecycle {
namespace {

namespace asio = boost::asio;

class JournalTest : public testing::Test {
 protected:
  uint64_t Record(const std::string& why) {
    return journal_.Record(Entry{.vm = "vm", .kind = EntryKind::kStep, .why = why}, nullptr)
        .value();
  }

  asio::io_context io_;
  MemoryStore store_{4};
  Journal journal_{store_, io_.get_executor()};
};

TEST_F(JournalTest, ReadsOnFromACursorWithoutLossOrRepetition) {
  Record("a");
  Record("b");
  const Page first = journal_.Read(0, 1).value();
  ASSERT_EQ(first.entries.size(), 1U);
  EXPECT_EQ(first.entries[0].why, "a");
  const Page second = journal_.Read(first.next, 10).value();
  ASSERT_EQ(second.entries.size(), 1U);
  EXPECT_EQ(second.entries[0].why, "b");
  EXPECT_EQ(second.lost, 0U);
  EXPECT_TRUE(journal_.Read(second.next, 10).value().entries.empty());
}

TEST_F(JournalTest, ACursorThatIsTooOldIsToldHowManyAreLost) {
  const uint64_t first = Record("first");
  for (int i = 0; i < 7; ++i) Record(std::to_string(i));
  const Page page = journal_.Read(first, 10).value();
  EXPECT_EQ(page.lost, 3U);
  ASSERT_EQ(page.entries.size(), 4U);
  EXPECT_EQ(page.entries.front().seq, first + 1 + page.lost);
}

TEST_F(JournalTest, IsBoundedInBytesToo) {
  MemoryStore small(1000, 64 * 1024);
  Journal journal(small, io_.get_executor());
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(journal.Record(Entry{.why = std::string(4096, 'x')}, nullptr));
  }
  EXPECT_LT(journal.Read(0, 1000).value().entries.size(), 17U);
}

TEST_F(JournalTest, ACursorOfAnotherLogIsStale) {
  MemoryStore other_store;
  Journal other(other_store, io_.get_executor());
  EXPECT_EQ(journal_.ParseCursor(other.Cursor(0)).error().errnum, ESTALE);
  Record("a");
  EXPECT_EQ(journal_.ParseCursor(journal_.Cursor(1)).value(), 1U);
}

TEST_F(JournalTest, ACursorThatIsNoneIsRefused) {
  for (const std::string text : {"", "-", "abc", "x-", "x-1y", "x-99999999999999999999999"}) {
    EXPECT_EQ(journal_.ParseCursor(text).error().errnum, EINVAL) << text;
  }
  EXPECT_EQ(journal_.ParseCursor(journal_.Cursor(5)).error().errnum, EINVAL) << "ahead of the log";
}

TEST_F(JournalTest, AFollowerIsWokenByTheNextEntry) {
  bool woken = false;
  asio::co_spawn(
      io_,
      [&]() -> asio::awaitable<void> {
        co_await journal_.grown().Wait(Deadline::In(std::chrono::hours(1)));
        woken = journal_.newest() == 1;
      },
      asio::detached);
  io_.poll();
  EXPECT_FALSE(woken);
  Record("a");
  io_.poll();
  EXPECT_TRUE(woken);
}

TEST(Notifier, AWaiterThatOutlivesItEndsAtItsDeadline) {
  asio::io_context io;
  bool ended = false;
  {
    Notifier notifier(io.get_executor());
    asio::co_spawn(
        io,
        [](Notifier& waited_for, bool& done) -> asio::awaitable<void> {
          co_await waited_for.Wait(Deadline::In(std::chrono::milliseconds(5)));
          done = true;
        }(notifier, ended),
        asio::detached);
    io.poll();
  }
  io.run();
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace berth::lifecycle
