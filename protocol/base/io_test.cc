// SPDX-License-Identifier: Apache-2.0
#include "protocol/base/io.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <thread>

namespace berth {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

struct SocketPair {
  UniqueFd a;
  UniqueFd b;
  SocketPair() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    a.Reset(fds[0]);
    b.Reset(fds[1]);
  }
};

class TemporaryDir : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(mkdtemp(dir_.data()), nullptr); }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string dir_ = testing::TempDir() + "berth-io-XXXXXX";
};

TEST(ReadFull, TimesOutOnASilentPeer) {
  SocketPair pair;
  std::array<std::byte, 4> bytes;
  const auto result = ReadFull(pair.a.get(), bytes, Deadline::In(20ms));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().errnum, ETIMEDOUT);
}

TEST(ReadFull, SaysThatThePeerClosedInTheMiddle) {
  SocketPair pair;
  ASSERT_TRUE(WriteFull(pair.b.get(), "ab", Deadline::In(5s)));
  pair.b.Reset();
  std::array<std::byte, 4> bytes;
  const auto result = ReadFull(pair.a.get(), bytes, Deadline::In(5s));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().errnum, ECONNRESET);
}

TEST(WriteFull, TimesOutOnAPeerThatNeverReadsEvenOnABlockingSocket) {
  SocketPair pair;
  const std::string much(8 << 20, 'x');
  const auto result = WriteFull(pair.a.get(), much, Deadline::In(50ms));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().errnum, ETIMEDOUT);
}

TEST(WriteFull, MovesMoreThanASocketBufferToASlowReader) {
  SocketPair pair;
  const std::string much(4 << 20, 'x');
  std::string got(much.size(), '\0');
  std::jthread reader([&] {
    EXPECT_TRUE(ReadFull(pair.b.get(), std::as_writable_bytes(std::span(got)), Deadline::In(30s)));
  });
  EXPECT_TRUE(WriteFull(pair.a.get(), much, Deadline::In(30s)));
  reader.join();
  EXPECT_EQ(got, much);
}

TEST(WriteFull, GivesEpipeInsteadOfASignal) {
  SocketPair pair;
  pair.b.Reset();
  const auto result = WriteFull(pair.a.get(), "x", Deadline::In(5s));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().errnum, EPIPE);
}

TEST_F(TemporaryDir, ReadFileRefusesWhatIsLongerThanItsBound) {
  const std::string path = dir_ + "/f";
  ASSERT_TRUE(WriteFileAtomic(path, "0123456789", 0600));
  EXPECT_EQ(ReadFile(path.c_str(), 10).value(), "0123456789");
  EXPECT_EQ(ReadFile(path.c_str(), 9).error().errnum, EFBIG);
}

TEST_F(TemporaryDir, WriteFileAtomicReplacesAndLeavesNothingBeside) {
  const std::string path = dir_ + "/f";
  ASSERT_TRUE(WriteFileAtomic(path, "old", 0600));
  ASSERT_TRUE(WriteFileAtomic(path, "new", 0600));
  EXPECT_EQ(ReadFile(path.c_str(), 16).value(), "new");
  const auto files = std::distance(std::filesystem::directory_iterator(dir_), {});
  EXPECT_EQ(files, 1);
}

TEST_F(TemporaryDir, WriteFileAtomicTakesNothingFromWhoMayWriteBesideIt) {
  const std::string path = dir_ + "/f";
  const std::string other = dir_ + "/other";
  ASSERT_TRUE(WriteFileAtomic(other, "kept", 0600));
  ASSERT_EQ(symlink(other.c_str(), (path + ".new").c_str()), 0);
  ASSERT_TRUE(WriteFileAtomic(path, "first", 0600));
  EXPECT_EQ(ReadFile(other.c_str(), 16).value(), "kept");
  // Opened for writing, one that nobody reads would wait for ever.
  ASSERT_EQ(mkfifo((path + ".new").c_str(), 0666), 0);
  ASSERT_TRUE(WriteFileAtomic(path, "second", 0600));
  EXPECT_EQ(ReadFile(path.c_str(), 16).value(), "second");
}

TEST_F(TemporaryDir, WriteFileAtomicGivesModeAndOwnerWhateverTheUmask) {
  const std::string path = dir_ + "/f";
  const mode_t umask_before = umask(077);
  const auto written = WriteFileAtomic(path, "x", 04755, FileOwner{geteuid(), getegid()});
  umask(umask_before);
  ASSERT_TRUE(written);
  struct stat st = {};
  ASSERT_EQ(stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 04755U);
  EXPECT_EQ(st.st_uid, geteuid());
}

TEST_F(TemporaryDir, WriteFileAtomicThatFailsKeepsTheOldFile) {
  const std::string path = dir_ + "/f";
  ASSERT_EQ(mkdir(path.c_str(), 0700), 0);  // rename(2) refuses to put a file over a directory
  const auto result = WriteFileAtomic(path, "new", 0600);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().step, Step("rename"));
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
}

TEST(ReadFile, ReadsProcFilesWhoseSizeIsZero) {
  EXPECT_FALSE(ReadFile("/proc/self/status", 64 * 1024).value().empty());
}

TEST(SendFd, TheDescriptorArrivesOpenAndCloseOnExec) {
  SocketPair pair;
  SocketPair sent;
  ASSERT_TRUE(SendFd(pair.a.get(), sent.a.get(), Deadline::In(5s)));
  const auto received = ReceiveFd(pair.b.get(), Deadline::In(5s));
  ASSERT_TRUE(received);
  EXPECT_EQ(fcntl(received->get(), F_GETFD), FD_CLOEXEC);
  ASSERT_TRUE(WriteFull(received->get(), "hi", Deadline::In(5s)));
  std::array<std::byte, 2> bytes;
  EXPECT_TRUE(ReadFull(sent.b.get(), bytes, Deadline::In(5s)));
}

TEST(ReceiveFd, RefusesAByteWithoutADescriptor) {
  SocketPair pair;
  ASSERT_TRUE(WriteFull(pair.a.get(), "F", Deadline::In(5s)));
  const auto received = ReceiveFd(pair.b.get(), Deadline::In(5s));
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().errnum, EPROTO);
}

}  // namespace
}  // namespace berth
